// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy from an allocation reads beyond its end, by a thread that did not allocate it.
#include "misuse.hpp"

int main() {
  begin();
  static char other[2 * SIZE + kUnit];
  char* slot = take(SIZE);
  const size_t usable = malloc_usable_size(slot);
  elsewhere([&] { memcpy(opaque(other), slot, usable); });
  if (is_misuse()) {
    slot = at(slot);
    elsewhere([&] { memcpy(opaque(other), slot, usable + 100); });
  }
  return survived();
}
