// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium slot is freed again after 40 others were freed.
#include "misuse.hpp"

int main() {
  begin();
  void* slots[40];
  for (void*& slot : slots) slot = take(kMedium);
  void* first = take(kMedium);
  free(first);
  for (void* slot : slots) free(slot);
  if (is_misuse()) {
    free(at(first));
  }
  return survived();
}
