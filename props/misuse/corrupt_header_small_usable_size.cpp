// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The header of a chunk is overwritten; malloc_usable_size of a small slot sees it.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const Place place = place_of(slot, kSmall);
#ifndef CONTROL
  place.chunk->owner = slot;
  keep(malloc_usable_size(at(slot)));
#endif
  keep(place.chunk);
  return survived();
}
