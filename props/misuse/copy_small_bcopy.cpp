// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// bcopy beyond the end.
#include <strings.h>

#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char other[1000];
  bcopy(opaque(other), slot, usable);
  if (is_misuse()) {
    bcopy(opaque(other), at(slot), usable + 1);
  }
  return survived();
}
