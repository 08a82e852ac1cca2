// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The live bit of a neighbour is flipped; the owner sees it when it collects a medium slot that another thread freed.
#include "layout.hpp"

int main() {
  begin();
  // Of a closed chunk: there are more than a heap keeps open.
  static char* slots[600];
  for (char*& slot : slots) slot = take(kMedium);
  char* slot = slots[0];
  const Place place = place_of(slot, kMedium);
  if (is_misuse()) {
    place.line().live ^= place.neighbour();
    elsewhere([slot] { free(slot); });
    keep(at(slot));
    for (int i = 0; i != 600; ++i) keep(take(kMedium));
  }
  keep(place.chunk);
  return survived();
}
