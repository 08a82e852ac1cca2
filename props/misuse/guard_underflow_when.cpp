// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A linear underflow that has reached the guard page in front of the first slot of its chunk, or of a block.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  char* first = slot;
  if (SIZE < kLarge) first = place_of(slot, SIZE).slot(0);
  meanwhile(WHEN, SIZE);
  memset(first, 1, static_cast<size_t>(slot - first));
  if (is_misuse()) {
    run_at(WHERE, [&] { *at(first - 1) = 1; });
  }
  return survived();
}
