// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memmove beyond the end.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char other[1000];
  memmove(slot, opaque(other), usable);
  if (is_misuse()) {
    memmove(at(slot), opaque(other), usable + 1);
  }
  return survived();
}
