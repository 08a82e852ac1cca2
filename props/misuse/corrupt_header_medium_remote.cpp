// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The header of a chunk is overwritten; another thread that frees a medium slot sees it.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  const Place place = place_of(slot, kMedium);
#ifndef CONTROL
  place.chunk->owner = slot;
  elsewhere([slot] { free(at(slot)); });
#endif
  keep(place.chunk);
  return survived();
}
