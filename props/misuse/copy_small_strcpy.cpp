// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// strcpy of a string whose zero does not fit.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char text[1000];
  memset(text, 'a', usable - 1);
  strcpy(slot, opaque(text));
  if (is_misuse()) {
    text[usable - 1] = 'a';
    strcpy(at(slot), opaque(text));
  }
  return survived();
}
