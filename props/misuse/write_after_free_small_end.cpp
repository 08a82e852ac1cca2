// FAULT: write-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The last byte of a small slot is written after it was freed.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  free(slot);
  if (is_misuse()) {
    at(slot)[47] = 1;
  }
  for (int i = 0; i != 100000; ++i) free(take(kSmall));
  return survived();
}
