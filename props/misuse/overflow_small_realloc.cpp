// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind a small allocation that realloc moves.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(40);
  if (is_misuse()) {
    slot = at(slot);
    slot[40] = 1;
  }
  keep(realloc(slot, 4000));
  return survived();
}
