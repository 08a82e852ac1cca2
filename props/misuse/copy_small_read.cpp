// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// read of more than the buffer holds.
#include <fcntl.h>

#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  const int file = open("/dev/zero", O_RDONLY);
  keep(read(file, slot, usable));
  if (is_misuse()) {
    keep(read(file, at(slot), usable + 1));
  }
  return survived();
}
