// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of an array on the stack.
#include "misuse.hpp"

int main() {
  begin();
  alignas(16) char array[64] = {};
  if (is_misuse()) {
    keep(realloc(at(array), 100));
  }
  keep(opaque(&array[0]));
  return survived();
}
