// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The old address of a slot that realloc moved is freed.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  char* moved = opaque(static_cast<char*>(realloc(slot, 2 * SIZE)));
  if (moved == slot) moved = opaque(static_cast<char*>(realloc(slot, 64 * SIZE)));
  if (moved == nullptr || moved == slot) return kNoMemory;
  if (is_misuse()) {
    free(at(slot));
  }
  free(moved);
  return survived();
}
