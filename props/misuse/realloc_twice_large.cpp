// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of the old address of a large block that realloc moved.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kLarge);
  char* moved = opaque(static_cast<char*>(realloc(slot, 64 * kLarge)));
  if (moved == nullptr || moved == slot) return kNoMemory;
#ifndef CONTROL
  keep(realloc(at(slot), 64 * kLarge));
#endif
  free(moved);
  return survived();
}
