// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The first byte behind a block that realloc has shrunk.
#include "misuse.hpp"

int main() {
  begin();
  char* block = opaque(static_cast<char*>(realloc(take(6 * kLarge), kLarge)));
  if (is_misuse()) {
    *at(block + malloc_usable_size(block)) = 1;
  }
  free(block);
  return survived();
}
