// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// __strncat_chk that is told a wrong size of its target.
#include "misuse.hpp"

extern "C" char* __strncat_chk(char*, const char*, size_t, size_t);

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char text[1000];
  memset(text, 'a', usable - 1);
  text[usable - 4] = 0;
  strcpy(slot, opaque(text));
  __strncat_chk(slot, opaque("abcdef"), 3, 1000);
  if (is_misuse()) {
    __strncat_chk(at(slot), opaque("d"), 1, 1000);
  }
  return survived();
}
