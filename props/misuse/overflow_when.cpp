// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind an allocation; of a large one, behind what was asked for, in its last page.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take_for(WHEN, SIZE == kLarge ? SIZE - 100 : SIZE);
  if (is_misuse()) {
    slot = at(slot);
    slot[SIZE == kLarge ? SIZE - 100 : malloc_usable_size(slot)] = 1;
  }
  meanwhile(WHEN, SIZE);
  run_at(WHERE, [&] { free(slot); });
  return survived();
}
