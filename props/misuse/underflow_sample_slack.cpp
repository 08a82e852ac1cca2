// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte 0 is written in front of a sample: found when it is freed.
#include "misuse.hpp"

int main() {
  begin();
  char* slots[64];
  for (char*& slot : slots) slot = take(41);
  // Whose neighbour in front is ours, unless they are samples: it is free then, and zeroes end it.
  char* slot = slots[1];
  for (char* const higher : slots) {
    for (char* const lower : slots) {
      if (higher > lower && higher - lower <= 64) slot = higher;
    }
  }
  for (char* const other : slots) {
    if (other != slot) free(other);
  }
  if (is_misuse()) {
    slot = at(slot);
    slot[-1] = 0;
  }
  free(slot);
  return survived();
}
