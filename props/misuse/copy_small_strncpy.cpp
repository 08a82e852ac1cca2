// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// strncpy of a short string, padded beyond the end.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  strncpy(slot, opaque("short"), usable);
  if (is_misuse()) {
    strncpy(at(slot), opaque("short"), usable + 1);
  }
  return survived();
}
