// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The byte behind a large block that does not end with its page is written.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kLarge + 33);
  if (is_misuse()) {
    *at(slot + kLarge + 33) = 1;
  }
  free(slot);
  return survived();
}
