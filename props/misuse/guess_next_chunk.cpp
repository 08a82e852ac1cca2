// FAULT: missed
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Does the next chunk lie right beside this one, at least every second time?
#include "layout.hpp"

int main() {
  begin();
  int right = 0;
  Place last = place_of(take(SIZE), SIZE);
  const auto bytes = static_cast<ptrdiff_t>(last.shape.chunk_bytes());
  for (int chunks = 0; chunks != 64;) {
    char* slot = take(SIZE);
    if (slot >= last.start && slot < last.start + bytes) continue;
    const Place place = place_of(slot, SIZE);
    const ptrdiff_t distance = place.start - last.start;
    right += distance == bytes || distance == -bytes;
    last = place;
    ++chunks;
  }
  return guessed(right, 32);
}
