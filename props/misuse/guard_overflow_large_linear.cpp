// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A memset runs over the end of a large block.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  memset(block, 1, malloc_usable_size(block));
  if (is_misuse()) {
    memset(at(block + malloc_usable_size(block)), 1, 100);
  }
  free(block);
  return survived();
}
