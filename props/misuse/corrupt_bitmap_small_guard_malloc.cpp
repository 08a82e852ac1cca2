// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The guard word of a word with free slots is overwritten; malloc sees it when it chooses from the word.
#include "layout.hpp"

int main() {
  begin();
  // Of a closed chunk: there are more than a heap keeps open.
  static char* slots[40000];
  for (char*& slot : slots) slot = take(kSmall);
  char* slot = slots[0];
  const Place place = place_of(slot, kSmall);
  for (int i = 0; i != 20000; ++i) {
    if (i % 4 != 0) free(slots[i]);  // of each word more than what is held of it
  }
  if (is_misuse()) {
    keep(at(slot));
    for (uint32_t line = 0; line != place.shape.line_count(); ++line) place.chunk->lines()[line].guard ^= 1;
    for (int i = 0; i != 20000; ++i) keep(take(kSmall));
  }
  keep(place.chunk);
  return survived();
}
