// FAULT: misaligned-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a 4-byte aligned address in a medium slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
#ifndef CONTROL
  free(at(slot + 20));
#endif
  free(slot);
  return survived();
}
