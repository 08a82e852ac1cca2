// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small slot is freed again after another thread has freed 500 others.
#include "misuse.hpp"

int main() {
  begin();
  void* slots[500];
  for (void*& slot : slots) slot = take(kSmall);
  void* first = take(kSmall);
  free(first);
  elsewhere([&slots] {
    for (void* slot : slots) free(slot);
  });
  if (is_misuse()) {
    free(at(first));
  }
  return survived();
}
