// FAULT: write-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation is written after another thread has freed it.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  char* const kept = take(kSmall);  // or its chunk would go
  elsewhere([&] { free(slot); });
  malloc_trim(0);  // collects: until then the owner has not zeroed the slot
  keep(kept);
  if (is_misuse()) {
    memset(at(slot), 1, kSmall);
  }
  for (int i = 0; i != 100000; ++i) free(take(kSmall));
  return survived();
}
