// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte 64 behind the end of a sample is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(41);
  if (is_misuse()) {
    keep(*at(slot + 41 + 64));
  }
  free(slot);
  return survived();
}
