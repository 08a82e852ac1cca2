// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An odd address outside of our memory is foreign, not misaligned.
#include "misuse.hpp"

int main() {
  begin();
  alignas(16) char array[64] = {};
  if (is_misuse()) {
    free(at(&array[1]));
  }
  keep(opaque(&array[0]));
  return survived();
}
