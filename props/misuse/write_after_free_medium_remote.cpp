// FAULT: write-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium allocation is written after another thread has freed it.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  char* const kept = take(kMedium);  // or its chunk would go
  elsewhere([&] { free(slot); });
  malloc_trim(0);  // collects: until then the owner has not zeroed the slot
  keep(kept);
  if (is_misuse()) {
    at(slot)[kMedium - 1] = 1;
  }
  for (int i = 0; i != 5000; ++i) free(take(kMedium));
  return survived();
}
