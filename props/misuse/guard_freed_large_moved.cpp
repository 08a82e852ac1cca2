// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The place that a large block had before realloc moved it is written.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  char* moved = opaque(static_cast<char*>(realloc(block, 64 * kLarge)));
  if (moved == nullptr || moved == block) return kNoMemory;
  if (is_misuse()) {
    *at(block + 100) = 1;
  }
  free(moved);
  return survived();
}
