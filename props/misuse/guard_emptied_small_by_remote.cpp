// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// As guard_emptied_small_write, after another thread freed them all.
#include "misuse.hpp"

int main() {
  begin();
  static char* slots[3000];
  for (char*& slot : slots) slot = take(kSmall);
  elsewhere([] {
    for (char* slot : slots) free(slot);
  });
  malloc_trim(0);
  if (is_misuse()) {
    *at(slots[1500]) = 1;
  }
  return survived();
}
