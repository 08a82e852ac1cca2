// FAULT: never-allocated
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a small slot that its chunk has not opened yet.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const Place place = place_of(slot, kSmall);
#ifndef CONTROL
  free(at(place.unopened()));
#endif
  free(slot);
  keep(place.index);
  return survived();
}
