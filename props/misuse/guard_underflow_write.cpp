// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A linear underflow from a slot that has reached the guard page in front of the first, write.
#include "layout.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  const Place place = place_of(slot, SIZE);
  char* first = place.slot(0);
  memset(first, 1, static_cast<size_t>(slot - first));
  if (is_misuse()) {
    *at(first - 1) = 1;
  }
  return survived();
}
