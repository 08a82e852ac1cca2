// FAULT: write-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium allocation is written after its owner has freed it.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  free(slot);
  if (is_misuse()) {
    at(slot)[kMedium / 2] = 1;
  }
  for (int i = 0; i != 5000; ++i) free(take(kMedium));
  return survived();
}
