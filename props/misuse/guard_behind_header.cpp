// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A write that would reach the header of a chunk of slots from behind, page by page.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  const Place place = place_of(slot, SIZE);
  if (is_misuse()) {
    *at(place.first_guard()) = 1;
  }
  free(slot);
  keep(place.index);
  return survived();
}
