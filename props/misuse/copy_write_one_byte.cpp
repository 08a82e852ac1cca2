// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy that ends one byte behind an allocation.
#include "misuse.hpp"

int main() {
  begin();
  char byte[8] = {};
  char* slot = take(SIZE);
  char* end = slot + malloc_usable_size(slot);
  memcpy(end - 7, opaque(byte), 7);
  if (is_misuse()) {
    memcpy(at(end - 7), opaque(byte), 8);
  }
  return survived();
}
