// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// bzero beyond the end.
#include <strings.h>

#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  bzero(slot, usable);
  if (is_misuse()) {
    bzero(at(slot), usable + 1);
  }
  return survived();
}
