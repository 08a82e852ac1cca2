// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind a small allocation, freed by another thread.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(40);
  if (is_misuse()) {
    slot = at(slot);
    slot[40] = 1;
  }
  elsewhere([&] { free(slot); });
  return survived();
}
