// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memmove within one allocation, and out of it.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  memmove(slot + 1, slot, usable - 1);
  if (is_misuse()) {
    memmove(at(slot + 1), slot, usable);
  }
  return survived();
}
