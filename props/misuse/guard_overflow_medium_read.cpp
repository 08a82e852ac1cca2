// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A linear overflow from a medium slot that has reached the guard page at the end of its chunk, read.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  const Place place = place_of(slot, kMedium);
  memset(slot, 1, static_cast<size_t>(place.last_guard() - slot));
  if (is_misuse()) {
    keep(*at(place.last_guard()));
  }
  return survived();
}
