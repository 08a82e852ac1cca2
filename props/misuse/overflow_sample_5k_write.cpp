// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte 5000 behind the end of a sample is written: in the place of another, it may be.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(41);
  if (is_misuse()) {
    *at(slot + 41 + 5000) = 1;
  }
  free(slot);
  return survived();
}
