// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// __strcat_chk that is told a wrong size of its target.
#include "misuse.hpp"

extern "C" char* __strcat_chk(char*, const char*, size_t);

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char text[1000];
  memset(text, 'a', usable - 1);
  text[usable - 4] = 0;
  strcpy(slot, opaque(text));
  __strcat_chk(slot, opaque("abc"), 1000);
  if (is_misuse()) {
    __strcat_chk(at(slot), opaque("d"), 1000);
  }
  return survived();
}
