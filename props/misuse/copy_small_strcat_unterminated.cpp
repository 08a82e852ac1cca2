// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// strcat to an allocation without a zero in it.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  memset(slot, 'a', usable);
  slot[usable - 2] = 0;
  strcat(slot, opaque("b"));
  if (is_misuse()) {
    slot[usable - 1] = 'a';
    strcat(at(slot), opaque("b"));
  }
  return survived();
}
