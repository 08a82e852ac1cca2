// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The owner in the header of a full chunk is overwritten; the next free of a medium slot sees it.
#include "layout.hpp"

int main() {
  begin();
  // Of a closed chunk: there are more than a heap keeps open.
  static char* slots[600];
  for (char*& slot : slots) slot = take(kMedium);
  char* slot = slots[0];
  const Place place = place_of(slot, kMedium);
  if (is_misuse()) {
    place.chunk->owner = slot;
    free(at(slot));
  }
  keep(place.chunk);
  return survived();
}
