// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte behind a sample that is longer than a unit is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(200001);
  if (is_misuse()) {
    keep(*at(slot + 200001));
  }
  free(slot);
  return survived();
}
