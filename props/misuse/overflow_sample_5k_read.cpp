// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte 5000 behind the end of a sample is read: in the place of another, it may be.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(41);
  if (is_misuse()) {
    keep(*at(slot + 41 + 5000));
  }
  free(slot);
  return survived();
}
