// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium slot in a chunk that is empty and has given its memory back is written.
#include "misuse.hpp"

int main() {
  begin();
  static char* slots[120];
  for (char*& slot : slots) slot = take(kMedium);
  for (char* slot : slots) free(slot);
  malloc_trim(0);
  if (is_misuse()) {
    *at(slots[60]) = 1;
  }
  return survived();
}
