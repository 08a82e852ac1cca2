// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A linear overflow from a slot that has reached the guard page at the end of its chunk, write.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  const Place place = place_of(slot, SIZE);
  memset(slot, 1, static_cast<size_t>(place.last_guard() - slot));
  if (is_misuse()) {
    *at(place.last_guard()) = 1;
  }
  return survived();
}
