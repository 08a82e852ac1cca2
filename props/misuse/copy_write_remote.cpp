// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy into an allocation writes beyond its end, by a thread that did not allocate it.
#include "misuse.hpp"

int main() {
  begin();
  static char other[2 * SIZE + kUnit];
  char* slot = take(SIZE);
  const size_t usable = malloc_usable_size(slot);
  elsewhere([&] { memcpy(slot, opaque(other), usable); });
  if (is_misuse()) {
    slot = at(slot);
    elsewhere([&] { memcpy(slot, opaque(other), usable + 100); });
  }
  return survived();
}
