// FAULT: corrupt-list
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A chunk of the list leads to itself, and its neighbours do not know: the back pointer is checked.
#include "layout.hpp"

int main() {
  begin();
  static char* slots[5000];
  for (char*& slot : slots) slot = take(kSmall);
  const Place place = place_of(slots[0], kSmall);
  if (is_misuse()) {
    place.chunk->next = place.chunk;
    keep(at(place.chunk));
    for (char* slot : slots) free(slot);
  }
  keep(place.index);
  return survived();
}
