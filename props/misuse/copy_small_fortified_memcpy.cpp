// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// __memcpy_chk that is told a wrong size of its target.
#include "misuse.hpp"

extern "C" void* __memcpy_chk(void*, const void*, size_t, size_t);

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  static char other[1000];
  __memcpy_chk(slot, opaque(other), usable, 1000);
  if (is_misuse()) {
    __memcpy_chk(at(slot), opaque(other), usable + 1, 1000);
  }
  return survived();
}
