// FAULT: write-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Another thread writes to a small allocation that its owner has freed.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  free(slot);
  if (is_misuse()) {
    elsewhere([&] { *at(slot) = 1; });
  }
  for (int i = 0; i != 100000; ++i) free(take(kSmall));
  return survived();
}
