// FAULT: corrupt-bitmap
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The guard word of a word with free slots is overwritten; malloc sees it when it chooses from the word.
#include "layout.hpp"

int main() {
  begin();
  // Of a closed chunk: there are more than a heap keeps open.
  static char* slots[1200];
  for (char*& slot : slots) slot = take(kMedium);
  char* slot = slots[0];
  const Place place = place_of(slot, kMedium);
  for (int i = 0; i != 1200; ++i) {
    if (i % 4 != 0) free(slots[i]);  // of each word more than what is held of it
  }
  if (is_misuse()) {
    keep(at(slot));
    for (uint32_t line = 0; line != place.shape.line_count(); ++line) place.chunk->lines()[line].guard ^= 1;
    for (int i = 0; i != 1200; ++i) keep(take(kMedium));
  }
  keep(place.chunk);
  return survived();
}
