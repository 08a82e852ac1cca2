// FAULT: misaligned-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of the last byte of a medium slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
#ifndef CONTROL
  free(at(slot + kMedium - 1));
#endif
  free(slot);
  return survived();
}
