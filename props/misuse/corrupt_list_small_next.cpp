// FAULT: corrupt-list
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The next pointer of a chunk in a list leads to memory of the program's own; seen when the chunk changes its list.
#include "layout.hpp"

int main() {
  begin();
  static char* slots[5000];
  for (char*& slot : slots) slot = take(kSmall);
  const Place place = place_of(slots[0], kSmall);
  alignas(64) static char forged[4096];
  if (is_misuse()) {
    place.chunk->next = opaque(reinterpret_cast<stave::Chunk*>(forged));
    keep(at(place.chunk));
    for (char* slot : slots) free(slot);
  }
  keep(place.index);
  keep(opaque(&forged[0]));
  return survived();
}
