// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Another thread writes behind a large block.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  if (is_misuse()) {
    elsewhere([block] { *at(block + malloc_usable_size(block)) = 1; });
  }
  free(block);
  return survived();
}
