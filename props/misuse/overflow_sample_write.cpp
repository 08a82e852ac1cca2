// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte behind a sample is written.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(41);
  if (is_misuse()) {
    *at(slot + 41) = 1;
  }
  free(slot);
  return survived();
}
