// FAULT: use-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A freed sample is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  free(slot);
  if (is_misuse()) {
    keep(*at(slot + 7));
  }
  return survived();
}
