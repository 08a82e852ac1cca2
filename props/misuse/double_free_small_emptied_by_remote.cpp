// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Another thread frees every small slot of some chunks; after a trim their owner frees one again.
#include "misuse.hpp"

int main() {
  begin();
  static void* slots[3000];
  for (void*& slot : slots) slot = take(kSmall);
  elsewhere([] {
    for (void* slot : slots) free(slot);
  });
  malloc_trim(0);
  if (is_misuse()) {
    free(at(slots[1500]));
  }
  return survived();
}
