// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc_usable_size of a medium slot in a chunk whose memory went back to the kernel.
#include "misuse.hpp"

int main() {
  begin();
  static void* slots[120];
  for (void*& slot : slots) slot = take(kMedium);
  for (void* slot : slots) free(slot);
  malloc_trim(0);
  if (is_misuse()) {
    keep(malloc_usable_size(at(slots[60])));
  }
  return survived();
}
