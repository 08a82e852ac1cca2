// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// strcpy from an allocation without a zero in it.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char other[1000];
  memset(slot, 'a', usable);
  slot[usable - 1] = 0;
  strcpy(opaque(other), slot);
  if (is_misuse()) {
    slot[usable - 1] = 'a';
    strcpy(opaque(other), at(slot));
  }
  return survived();
}
