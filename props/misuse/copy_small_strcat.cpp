// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// strcat of two strings that fit one by one.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char text[1000];
  memset(text, 'a', usable - 1);
  text[usable - 4] = 0;
  strcpy(slot, opaque(""));
  strcat(slot, opaque(text));
  strcat(slot, opaque("abc"));
  if (is_misuse()) {
    strcat(at(slot), opaque("d"));
  }
  return survived();
}
