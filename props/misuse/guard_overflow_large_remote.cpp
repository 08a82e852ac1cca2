// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Another thread writes behind a large block.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(kLarge);
#ifndef CONTROL
  elsewhere([block] { *at(block + malloc_usable_size(block)) = 1; });
#endif
  free(block);
  return survived();
}
