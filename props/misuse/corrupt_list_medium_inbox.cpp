// FAULT: corrupt-list
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The inbox of the owner leads from a chunk to what is none; seen when the owner collects.
#include "layout.hpp"

int main() {
  begin();
  static char* slots[200];
  for (char*& slot : slots) slot = take(kMedium);
  const Place place = place_of(slots[0], kMedium);
  alignas(64) static char forged[4096];
  if (is_misuse()) {
    elsewhere([] { free(slots[0]); });
    place.chunk->inbox_next = opaque(reinterpret_cast<stave::Chunk*>(forged));
    keep(at(place.chunk));
    for (int i = 0; i != 200; ++i) keep(take(kMedium));
  }
  keep(place.index);
  keep(opaque(&forged[0]));
  return survived();
}
