// FAULT: never-allocated
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc_usable_size of a medium slot that its chunk has not opened yet.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  const Place place = place_of(slot, kMedium);
#ifndef CONTROL
  keep(malloc_usable_size(at(place.unopened())));
#endif
  free(slot);
  keep(place.index);
  return survived();
}
