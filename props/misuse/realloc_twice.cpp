// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of the old address of a slot that realloc moved.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  char* moved = opaque(static_cast<char*>(realloc(slot, 64 * SIZE)));
  if (moved == nullptr || moved == slot) return kNoMemory;
  if (is_misuse()) {
    keep(realloc(at(slot), 64 * SIZE));
  }
  free(moved);
  return survived();
}
