// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The word that says where remote frees wait names words that the chunk does not have.
#include "layout.hpp"

int main() {
  begin();
  static char* slots[200];
  for (char*& slot : slots) slot = take(kMedium);
  const Place place = place_of(slots[0], kMedium);
  if (is_misuse()) {
    elsewhere([] { free(slots[0]); });
    place.chunk->pending |= uint64_t{1} << 63;
    keep(at(place.chunk));
    for (int i = 0; i != 200; ++i) keep(take(kMedium));
  }
  keep(place.index);
  return survived();
}
