// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte in front of a sample of several pages is written.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
#ifndef CONTROL
  *at(slot - 1) = 1;
#endif
  free(slot);
  return survived();
}
