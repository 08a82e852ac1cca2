// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// As guard_emptied_medium_write, after another thread freed them all.
#include "misuse.hpp"

int main() {
  begin();
  static char* slots[120];
  for (char*& slot : slots) slot = take(kMedium);
  elsewhere([] {
    for (char* slot : slots) free(slot);
  });
  malloc_trim(0);
  if (is_misuse()) {
    *at(slots[60]) = 1;
  }
  return survived();
}
