// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The first byte behind a block of 5 MiB is written.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(5 * kLarge);
  if (is_misuse()) {
    *at(block + malloc_usable_size(block)) = 1;
  }
  free(block);
  return survived();
}
