// FAULT: interior-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of an address 16 bytes into a slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
#ifndef CONTROL
  keep(realloc(at(slot + 16), SIZE));
#endif
  free(slot);
  return survived();
}
