// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte 0 is written in front of a sample: found when it is freed.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(41);
  char* other = take(41);
  if (slot < other) {
    char* const lower = slot;
    slot = other;
    other = lower;
  }
  // In front of the lower one may be a guard, if it is no sample; in front of the higher one are zeroes.
  free(other);
  if (is_misuse()) {
    slot = at(slot);
    slot[-1] = 0;
  }
  free(slot);
  return survived();
}
