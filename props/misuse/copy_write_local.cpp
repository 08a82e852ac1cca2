// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy into an allocation writes beyond its end.
#include "misuse.hpp"

int main() {
  begin();
  static char other[2 * SIZE + kUnit];
  char* slot = take(SIZE);
  const size_t usable = malloc_usable_size(slot);
  memcpy(slot, opaque(other), usable);
  if (is_misuse()) {
    slot = at(slot);
    memcpy(slot, opaque(other), usable + 100);
  }
  return survived();
}
