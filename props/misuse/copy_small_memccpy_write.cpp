// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memccpy beyond the end: the character comes too late.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char other[1000];
  memset(other, 'a', 999);
  memccpy(slot, opaque(other), 'b', usable);
  if (is_misuse()) {
    memccpy(at(slot), opaque(other), 'b', usable + 1);
  }
  return survived();
}
