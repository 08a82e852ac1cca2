// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The header of a chunk is overwritten; realloc of a slot sees it.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  const Place place = place_of(slot, SIZE);
  if (is_misuse()) {
    place.chunk->owner = slot;
    keep(realloc(at(slot), 2 * SIZE));
  }
  keep(place.chunk);
  return survived();
}
