// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy from an allocation that was freed.
#include "misuse.hpp"

int main() {
  begin();
  char other[16] = {};
  char* slot = take(SIZE);
  char* const kept = take(SIZE);  // or its chunk would go
  memcpy(opaque(other), slot, 16);
  free(slot);
  keep(kept);
  if (is_misuse()) {
    memcpy(opaque(other), at(slot), 16);
  }
  return survived();
}
