// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The live bit of a neighbour in a full word is flipped; the next free of a small slot sees it.
#include "layout.hpp"

int main() {
  begin();
  // Of a closed chunk: there are more than a heap keeps open.
  static char* slots[20000];
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
