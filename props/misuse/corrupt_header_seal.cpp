// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The seal in the header of a chunk is overwritten; the next free of a slot sees it.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  const Place place = place_of(slot, SIZE);
  if (is_misuse()) {
    place.chunk->seal += 1;
    free(at(slot));
  }
  keep(place.chunk);
  return survived();
}
