// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The owner in the header of an open chunk that is full is overwritten; the next free of a small slot sees it.
#include "layout.hpp"

int main() {
  begin();
  // Of an open chunk that does not serve the class any more.
  static char* slots[5000];
  for (char*& slot : slots) slot = take(kSmall);
  char* slot = slots[0];
  const Place place = place_of(slot, kSmall);
  if (is_misuse()) {
    place.chunk->owner = slot;
    free(at(slot));
  }
  keep(place.chunk);
  return survived();
}
