// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The held bit of a neighbour is flipped; the next free of a slot sees it.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  const Place place = place_of(slot, SIZE);
  if (is_misuse()) {
    place.line().held ^= place.neighbour();
    free(at(slot));
  }
  keep(place.chunk);
  return survived();
}
