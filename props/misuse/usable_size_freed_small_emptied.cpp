// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc_usable_size of a small slot in a chunk whose memory went back to the kernel.
#include "misuse.hpp"

int main() {
  begin();
  static void* slots[3000];
  for (void*& slot : slots) slot = take(kSmall);
  for (void* slot : slots) free(slot);
  malloc_trim(0);
  if (is_misuse()) {
    keep(malloc_usable_size(at(slots[1500])));
  }
  return survived();
}
