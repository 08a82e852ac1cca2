// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// __strncpy_chk that is told a wrong size of its target.
#include "misuse.hpp"

extern "C" char* __strncpy_chk(char*, const char*, size_t, size_t);

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  __strncpy_chk(slot, opaque("short"), usable, 1000);
  if (is_misuse()) {
    __strncpy_chk(at(slot), opaque("short"), usable + 1, 1000);
  }
  return survived();
}
