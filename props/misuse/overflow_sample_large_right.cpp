// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The byte behind a large block of a size that is a multiple of 16 is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kLarge + 48);
  if (is_misuse()) {
    keep(*at(slot + kLarge + 48));
  }
  free(slot);
  return survived();
}
