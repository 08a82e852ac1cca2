// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A large block is freed again after another thread has freed 4 others.
#include "misuse.hpp"

int main() {
  begin();
  void* slots[4];
  for (void*& slot : slots) slot = take(kLarge);
  void* first = take(kLarge);
  free(first);
  elsewhere([&slots] {
    for (void* slot : slots) free(slot);
  });
  if (is_misuse()) {
    free(at(first));
  }
  return survived();
}
