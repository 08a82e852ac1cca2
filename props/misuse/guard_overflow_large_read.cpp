// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The first byte behind a large block is read.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  if (is_misuse()) {
    keep(*at(block + malloc_usable_size(block)));
  }
  free(block);
  return survived();
}
