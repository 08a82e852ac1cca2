// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy from an allocation reads beyond its end.
#include "misuse.hpp"

int main() {
  begin();
  static char other[2 * SIZE + kUnit];
  char* slot = take(SIZE);
  const size_t usable = malloc_usable_size(slot);
  memcpy(opaque(other), slot, usable);
  if (is_misuse()) {
    slot = at(slot);
    memcpy(opaque(other), slot, usable + 100);
  }
  return survived();
}
