// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// strncpy of more than there is, from an allocation without a zero in it.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char other[1000];
  memset(slot, 'a', usable);
  slot[usable - 1] = 0;
  strncpy(opaque(other), slot, 1000);
  slot[usable - 1] = 'a';
  strncpy(opaque(other), slot, usable);
  if (is_misuse()) {
    strncpy(opaque(other), at(slot), usable + 1);
  }
  return survived();
}
