// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A large block is freed again after 4 others were freed.
#include "misuse.hpp"

int main() {
  begin();
  void* slots[4];
  for (void*& slot : slots) slot = take(kLarge);
  void* first = take(kLarge);
  free(first);
  for (void* slot : slots) free(slot);
  if (is_misuse()) {
    free(at(first));
  }
  return survived();
}
