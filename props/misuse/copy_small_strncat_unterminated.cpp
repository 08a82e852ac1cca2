// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// strncat of more than there is, from an allocation without a zero in it.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char other[1000];
  memset(slot, 'a', usable);
  slot[usable - 1] = 0;
  strncat(opaque(other), slot, 500);
  slot[usable - 1] = 'a';
  strncat(opaque(other), slot, usable);
  if (is_misuse()) {
    strncat(opaque(other), at(slot), usable + 1);
  }
  return survived();
}
