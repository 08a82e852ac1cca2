// FAULT: corrupt-list
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The next pointer of a chunk in a list is zeroed; seen when the chunk changes its list.
#include "layout.hpp"

int main() {
  begin();
  static char* slots[5000];
  for (char*& slot : slots) slot = take(kSmall);
  const Place place = place_of(slots[0], kSmall);
  if (is_misuse()) {
    place.chunk->next = nullptr;
    keep(at(place.chunk));
    for (char* slot : slots) free(slot);
  }
  keep(place.index);
  return survived();
}
