// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A forged mark on a slot that is not live; the owner sees it before it hands the slot out.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const Place place = place_of(slot, kSmall);
  if (is_misuse()) {
    keep(at(slot));
    place.line().marked |= ~place.line().live.load();
    for (int i = 0; i != 5000; ++i) keep(take(kSmall));
  }
  keep(place.chunk);
  return survived();
}
