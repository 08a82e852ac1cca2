// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The byte behind a sample of 33 bytes is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(33);
  if (is_misuse()) {
    keep(*at(slot + 33));
  }
  free(slot);
  return survived();
}
