// FAULT: never-allocated
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a slot that its chunk has not opened yet.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  const Place place = place_of(slot, SIZE);
  if (is_misuse()) {
    free(at(place.unopened()));
  }
  free(slot);
  keep(place.index);
  return survived();
}
