// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte in front of a sample of several pages is written.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  if (is_misuse()) {
    *at(slot - 1) = 1;
  }
  free(slot);
  return survived();
}
