// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The owner in the header of a chunk is overwritten; the next free of a medium slot sees it.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  const Place place = place_of(slot, kMedium);
#ifndef CONTROL
  place.chunk->owner = slot;
  free(at(slot));
#endif
  keep(place.chunk);
  return survived();
}
