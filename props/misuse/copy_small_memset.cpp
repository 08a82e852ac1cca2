// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memset beyond the end.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  memset(slot, 1, usable);
  if (is_misuse()) {
    memset(at(slot), 1, usable + 1);
  }
  return survived();
}
