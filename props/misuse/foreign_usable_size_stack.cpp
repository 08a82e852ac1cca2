// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc_usable_size of an array on the stack.
#include "misuse.hpp"

int main() {
  begin();
  alignas(16) char array[64] = {};
#ifndef CONTROL
  keep(malloc_usable_size(at(array)));
#endif
  keep(opaque(&array[0]));
  return survived();
}
