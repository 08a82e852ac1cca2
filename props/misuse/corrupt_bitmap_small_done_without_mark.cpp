// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A forged done bit, without the mark of its free; the owner sees it when it collects a true one.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const Place place = place_of(slot, kSmall);
  if (is_misuse()) {
    place.line().done |= place.neighbour();
    elsewhere([slot] { free(slot); });
    keep(at(slot));
    for (int i = 0; i != 5000; ++i) keep(take(kSmall));
  }
  keep(place.chunk);
  return survived();
}
