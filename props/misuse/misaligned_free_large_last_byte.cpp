// FAULT: misaligned-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of the last byte of a large block.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kLarge);
#ifndef CONTROL
  free(at(slot + kLarge - 1));
#endif
  free(slot);
  return survived();
}
