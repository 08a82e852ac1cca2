// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// explicit_bzero beyond the end.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  explicit_bzero(slot, usable);
  if (is_misuse()) {
    explicit_bzero(at(slot), usable + 1);
  }
  return survived();
}
