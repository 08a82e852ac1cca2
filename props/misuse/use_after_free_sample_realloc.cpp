// FAULT: use-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What realloc moved is read at its old place.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  char* moved = opaque(static_cast<char*>(realloc(slot, 1000)));
  moved[999] = 1;
  if (is_misuse()) {
    keep(*at(slot));
  }
  return survived();
}
