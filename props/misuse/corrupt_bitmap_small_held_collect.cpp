// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The held bit of a neighbour is flipped; the owner sees it when it collects a small slot that another thread freed.
#include "layout.hpp"

int main() {
  begin();
  // Of a closed chunk: there are more than a heap keeps open.
  static char* slots[20000];
  for (char*& slot : slots) slot = take(kSmall);
  char* slot = slots[0];
  const Place place = place_of(slot, kSmall);
  if (is_misuse()) {
    place.line().held ^= place.neighbour();
    elsewhere([slot] { free(slot); });
    keep(at(slot));
    for (int i = 0; i != 20000; ++i) keep(take(kSmall));
  }
  keep(place.chunk);
  return survived();
}
