// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium slot is freed again after another thread has freed 40 others.
#include "misuse.hpp"

int main() {
  begin();
  void* slots[40];
  for (void*& slot : slots) slot = take(kMedium);
  void* first = take(kMedium);
  free(first);
  elsewhere([&slots] {
    for (void* slot : slots) free(slot);
  });
  if (is_misuse()) {
    free(at(first));
  }
  return survived();
}
