// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// __read_chk that is told a wrong size of its target.
#include <fcntl.h>

#include "misuse.hpp"

extern "C" ssize_t __read_chk(int, void*, size_t, size_t);

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  const int file = open("/dev/zero", O_RDONLY);
  keep(__read_chk(file, slot, usable, 1000));
  if (is_misuse()) {
    keep(__read_chk(file, at(slot), usable + 1, 1000));
  }
  return survived();
}
