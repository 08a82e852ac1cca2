// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc_usable_size of a slot that its owner freed.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(SIZE);
  free(slot);
#ifndef CONTROL
  keep(malloc_usable_size(at(slot)));
#endif
  return survived();
}
