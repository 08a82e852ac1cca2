// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// stpncpy of a short string, padded beyond the end.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  stpncpy(slot, opaque("short"), usable);
  if (is_misuse()) {
    stpncpy(at(slot), opaque("short"), usable + 1);
  }
  return survived();
}
