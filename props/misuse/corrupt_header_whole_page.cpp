// FAULT: corrupt-header
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The whole first page of a chunk is overwritten, header, bitmaps and all.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  const Place place = place_of(slot, SIZE);
  if (is_misuse()) {
    memset(place.start, 0x41, kPage);
    free(at(slot));
  }
  keep(place.chunk);
  return survived();
}
