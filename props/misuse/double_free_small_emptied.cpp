// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every small slot of some chunks is freed, their memory goes back to the kernel, then one is freed again.
#include "misuse.hpp"

int main() {
  begin();
  static void* slots[3000];
  for (void*& slot : slots) slot = take(kSmall);
  for (void* slot : slots) free(slot);
  malloc_trim(0);
  if (is_misuse()) {
    free(at(slots[1500]));
  }
  return survived();
}
