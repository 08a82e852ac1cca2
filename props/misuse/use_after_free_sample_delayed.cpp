// FAULT: use-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A freed sample is read when many others have come and gone.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  free(slot);
  for (int i = 0; i < 1000; ++i) free(take(kSmall));
  if (is_misuse()) {
    keep(*at(slot));
  }
  return survived();
}
