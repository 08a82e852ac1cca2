// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy that begins in the middle of an allocation, and would fit from its start.
#include "misuse.hpp"

int main() {
  begin();
  char other[kSmall] = {};
  char* slot = take(kSmall);
  char* middle = slot + malloc_usable_size(slot) / 2;
  memset(middle, 1, kSmall / 2);
  memcpy(slot, opaque(other), kSmall);
  if (is_misuse()) {
    memcpy(at(middle), opaque(other), kSmall);
  }
  return survived();
}
