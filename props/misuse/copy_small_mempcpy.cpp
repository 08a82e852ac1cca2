// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// mempcpy beyond the end.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char other[1000];
  mempcpy(slot, opaque(other), usable);
  if (is_misuse()) {
    mempcpy(at(slot), opaque(other), usable + 1);
  }
  return survived();
}
