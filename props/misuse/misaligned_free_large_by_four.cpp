// FAULT: misaligned-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a 4-byte aligned address in a large block.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kLarge);
#ifndef CONTROL
  free(at(slot + 20));
#endif
  free(slot);
  return survived();
}
