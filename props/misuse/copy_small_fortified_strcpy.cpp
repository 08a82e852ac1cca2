// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// __strcpy_chk that is told a wrong size of its target.
#include "misuse.hpp"

extern "C" char* __strcpy_chk(char*, const char*, size_t);

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char text[1000];
  memset(text, 'a', usable - 1);
  __strcpy_chk(slot, opaque(text), 1000);
  if (is_misuse()) {
    text[usable - 1] = 'a';
    __strcpy_chk(at(slot), opaque(text), 1000);
  }
  return survived();
}
