// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte behind a sample of several pages is written.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium + 1);
  if (is_misuse()) {
    *at(slot + kMedium + 1) = 1;
  }
  free(slot);
  return survived();
}
