// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte in front of a sample of several pages is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  if (is_misuse()) {
    keep(*at(slot - 1));
  }
  free(slot);
  return survived();
}
