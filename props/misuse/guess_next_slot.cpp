// FAULT: missed unnoticed
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Does the next allocation lie right behind this one, at least every second time? A medium slot does: its chunk opens
// them one by one.
#include "layout.hpp"

int main() {
  begin();
  int right = 0;
  char* slot = take(SIZE);
  for (int i = 0; i != 100; ++i) {
    char* next = take(SIZE);
    right += next == slot + place_of(slot, SIZE).shape.slot_size;
    slot = next;
  }
  return guessed(right, 50);
}
