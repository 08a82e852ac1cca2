// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// __stpcpy_chk that is told a wrong size of its target.
#include "misuse.hpp"

extern "C" char* __stpcpy_chk(char*, const char*, size_t);

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char text[1000];
  memset(text, 'a', usable - 1);
  __stpcpy_chk(slot, opaque(text), 1000);
  if (is_misuse()) {
    text[usable - 1] = 'a';
    __stpcpy_chk(at(slot), opaque(text), 1000);
  }
  return survived();
}
