// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// strncat whose zero does not fit.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char text[1000];
  memset(text, 'a', usable - 1);
  text[usable - 4] = 0;
  strcpy(slot, opaque(text));
  strncat(slot, opaque("abcdef"), 3);
  if (is_misuse()) {
    slot[usable - 4] = 0;
    strncat(at(slot), opaque("abcdef"), 4);
  }
  return survived();
}
