// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy from a small allocation reads beyond its end, by a thread that did not allocate it.
#include "misuse.hpp"

int main() {
  begin();
  static char other[2 * kSmall + kUnit];
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  elsewhere([&] { memcpy(opaque(other), slot, usable); });
#ifndef CONTROL
  slot = at(slot);
  elsewhere([&] { memcpy(opaque(other), slot, usable + 100); });
#endif
  return survived();
}
