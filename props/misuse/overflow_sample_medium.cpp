// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte behind a sample of several pages is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium + 1);
  if (is_misuse()) {
    keep(*at(slot + kMedium + 1));
  }
  free(slot);
  return survived();
}
