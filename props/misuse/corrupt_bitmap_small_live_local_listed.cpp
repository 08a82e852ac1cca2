// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The live bit of a neighbour in a full word of an open chunk is flipped; the next free of a small slot sees it.
#include "layout.hpp"

int main() {
  begin();
  // Of an open chunk that does not serve the class any more.
  static char* slots[5000];
  for (char*& slot : slots) slot = take(kSmall);
  char* slot = slots[0];
  const Place place = place_of(slot, kSmall);
  if (is_misuse()) {
    place.line().live ^= place.neighbour();
    free(at(slot));
  }
  keep(place.chunk);
  return survived();
}
