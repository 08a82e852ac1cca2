// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memccpy from an allocation in which the character does not occur.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char other[1000];
  memset(slot, 'a', usable);
  slot[usable - 1] = 'b';
  memccpy(opaque(other), slot, 'b', 1000);
  if (is_misuse()) {
    memccpy(opaque(other), at(slot), 'c', 1000);
  }
  return survived();
}
