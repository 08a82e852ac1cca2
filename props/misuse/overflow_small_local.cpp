// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind a small allocation, freed by its owner.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(40);
  if (is_misuse()) {
    slot = at(slot);
    slot[40] = 1;
  }
  free(slot);
  return survived();
}
