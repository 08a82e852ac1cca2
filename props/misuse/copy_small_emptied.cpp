// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy from an allocation whose chunk was given back.
#include "misuse.hpp"

int main() {
  begin();
  char other[16] = {};
  char* slot = take(kSmall);
  memcpy(opaque(other), slot, 16);
  free(slot);
  malloc_trim(0);
  if (is_misuse()) {
    memcpy(opaque(other), at(slot), 16);
  }
  return survived();
}
