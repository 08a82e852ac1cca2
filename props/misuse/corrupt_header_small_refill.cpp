// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The header of a chunk is overwritten; the refill from it sees it, without any free.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const Place place = place_of(slot, kSmall);
  if (is_misuse()) {
    place.chunk->seal += 1;
    keep(at(place.chunk));
    for (int i = 0; i != 5000; ++i) keep(take(kSmall));
  }
  keep(place.chunk);
  return survived();
}
