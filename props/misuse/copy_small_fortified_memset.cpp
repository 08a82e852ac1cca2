// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// __memset_chk that is told a wrong size of its target.
#include "misuse.hpp"

extern "C" void* __memset_chk(void*, int, size_t, size_t);

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  __memset_chk(slot, 1, usable, 1000);
  if (is_misuse()) {
    __memset_chk(at(slot), 1, usable + 1, 1000);
  }
  return survived();
}
