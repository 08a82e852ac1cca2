// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The class in the header of a full chunk is overwritten; the next free of a medium slot sees it.
#include "layout.hpp"

int main() {
  begin();
  // Of a word that does not serve the class any more.
  static char* slots[200];
  for (char*& slot : slots) slot = take(kMedium);
  char* slot = slots[0];
  const Place place = place_of(slot, kMedium);
#ifndef CONTROL
  place.chunk->identity.bits ^= 1 << 6;
  free(at(slot));
#endif
  keep(place.chunk);
  return survived();
}
