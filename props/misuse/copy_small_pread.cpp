// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// pread of more than the buffer holds.
#include <fcntl.h>

#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  const int file = open("/dev/zero", O_RDONLY);
  keep(pread(file, slot, usable, 0));
  if (is_misuse()) {
    keep(pread(file, at(slot), usable + 1, 0));
  }
  return survived();
}
