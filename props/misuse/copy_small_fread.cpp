// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// fread of more than the buffer holds.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  FILE* stream = fopen("/dev/zero", "r");
  if (stream == nullptr) _exit(kNoMemory);
  keep(fread(slot, 1, usable, stream));
  if (is_misuse()) {
    keep(fread(at(slot), usable, 2, stream));
  }
  return survived();
}
