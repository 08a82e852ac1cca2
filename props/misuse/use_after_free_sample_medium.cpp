// FAULT: use-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A freed sample of several pages is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  free(slot);
  if (is_misuse()) {
    keep(*at(slot + 30000));
  }
  return survived();
}
