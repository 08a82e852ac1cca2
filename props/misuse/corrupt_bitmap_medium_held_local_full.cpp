// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The held bit of a neighbour in a full word is flipped; the next free of a medium slot sees it.
#include "layout.hpp"

int main() {
  begin();
  // Of a closed chunk: there are more than a heap keeps open.
  static char* slots[600];
  for (char*& slot : slots) slot = take(kMedium);
  char* slot = slots[0];
  const Place place = place_of(slot, kMedium);
  if (is_misuse()) {
    place.line().held ^= place.neighbour();
    free(at(slot));
  }
  keep(place.chunk);
  return survived();
}
