// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A linear overflow that has reached the guard page at the end of its chunk or block.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  char* guard = slot + SIZE;
  if (SIZE < kLarge) guard = place_of(slot, SIZE).last_guard();
  meanwhile(WHEN, SIZE);
  memset(slot, 1, static_cast<size_t>(guard - slot));
  if (is_misuse()) {
    run_at(WHERE, [&] { *at(guard) = 1; });
  }
  return survived();
}
