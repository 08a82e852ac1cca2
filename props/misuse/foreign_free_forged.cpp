// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A copy of a true chunk, header and bitmaps, in memory of the program's own: free of the slot in it.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  char* forged = mapped(kUnit);
  memcpy(forged, chunk_of(slot), kPage);
  char* copy = forged + (slot - chunk_of(slot));
  if (is_misuse()) {
    free(at(copy));
  }
  free(slot);
  keep(copy);
  return survived();
}
