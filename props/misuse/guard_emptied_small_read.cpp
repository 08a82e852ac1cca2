// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small slot in a chunk that is empty and has given its memory back is read.
#include "misuse.hpp"

int main() {
  begin();
  static char* slots[3000];
  for (char*& slot : slots) slot = take(kSmall);
  for (char* slot : slots) free(slot);
  malloc_trim(0);
  if (is_misuse()) {
    keep(*at(slots[1500]));
  }
  return survived();
}
