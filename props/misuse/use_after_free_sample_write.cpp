// FAULT: use-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A freed sample is written.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  free(slot);
  if (is_misuse()) {
    *at(slot + kSmall - 1) = 1;
  }
  return survived();
}
