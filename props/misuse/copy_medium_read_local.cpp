// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy from a medium allocation reads beyond its end.
#include "misuse.hpp"

int main() {
  begin();
  static char other[2 * kMedium + kUnit];
  char* slot = take(kMedium);
  const size_t usable = malloc_usable_size(slot);
  memcpy(opaque(other), slot, usable);
#ifndef CONTROL
  slot = at(slot);
  memcpy(opaque(other), slot, usable + 100);
#endif
  return survived();
}
