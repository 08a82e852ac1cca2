// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A length that went below zero.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  char* other = take(kSmall);
  size_t n = 4;
  memmove(slot, other, n);
  if (is_misuse()) {
    n -= 8;
    memmove(slot, at(other), n);
  }
  return survived();
}
