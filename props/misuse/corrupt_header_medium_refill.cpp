// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The header of a chunk is overwritten; the refill from it sees it, without any free.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  const Place place = place_of(slot, kMedium);
  if (is_misuse()) {
    place.chunk->seal += 1;
    keep(at(place.chunk));
    for (int i = 0; i != 200; ++i) keep(take(kMedium));
  }
  keep(place.chunk);
  return survived();
}
