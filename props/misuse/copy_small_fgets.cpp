// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// fgets that is told a larger buffer.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  FILE* stream = fopen("/dev/zero", "r");
  if (stream == nullptr) _exit(kNoMemory);
  keep(fgets(slot, static_cast<int>(usable), stream));
  if (is_misuse()) {
    keep(fgets(at(slot), static_cast<int>(usable) + 1, stream));
  }
  return survived();
}
