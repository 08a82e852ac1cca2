// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every medium slot of some chunks is freed, their memory goes back to the kernel, then one is freed again.
#include "misuse.hpp"

int main() {
  begin();
  static void* slots[120];
  for (void*& slot : slots) slot = take(kMedium);
  for (void* slot : slots) free(slot);
  malloc_trim(0);
  if (is_misuse()) {
    free(at(slots[60]));
  }
  return survived();
}
