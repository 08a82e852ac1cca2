// FAULT: never-allocated
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a medium slot that its chunk has not opened yet.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  const Place place = place_of(slot, kMedium);
#ifndef CONTROL
  free(at(place.unopened()));
#endif
  free(slot);
  keep(place.index);
  return survived();
}
