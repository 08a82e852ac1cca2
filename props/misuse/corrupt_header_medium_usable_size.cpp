// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The header of a chunk is overwritten; malloc_usable_size of a medium slot sees it.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  const Place place = place_of(slot, kMedium);
#ifndef CONTROL
  place.chunk->owner = slot;
  keep(malloc_usable_size(at(slot)));
#endif
  keep(place.chunk);
  return survived();
}
