// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// __explicit_bzero_chk that is told a wrong size of its target.
#include "misuse.hpp"

extern "C" void __explicit_bzero_chk(void*, size_t, size_t);

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  __explicit_bzero_chk(slot, usable, 1000);
  if (is_misuse()) {
    __explicit_bzero_chk(at(slot), usable + 1, 1000);
  }
  return survived();
}
