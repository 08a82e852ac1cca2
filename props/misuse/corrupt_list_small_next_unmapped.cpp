// FAULT: corrupt-list
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The next pointer of a chunk in a list leads nowhere: it must not be followed to be judged.
#include "layout.hpp"

int main() {
  begin();
  static char* slots[5000];
  for (char*& slot : slots) slot = take(kSmall);
  const Place place = place_of(slots[0], kSmall);
  if (is_misuse()) {
    place.chunk->next = opaque(reinterpret_cast<stave::Chunk*>(0x123456789000));
    keep(at(place.chunk));
    for (char* slot : slots) free(slot);
  }
  keep(place.index);
  return survived();
}
