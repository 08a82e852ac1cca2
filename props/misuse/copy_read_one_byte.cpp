// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy from the last bytes of an allocation, and one more.
#include "misuse.hpp"

int main() {
  begin();
  char byte[8] = {};
  char* slot = take(SIZE);
  char* end = slot + malloc_usable_size(slot);
  memcpy(opaque(byte), end - 7, 7);
  if (is_misuse()) {
    memcpy(opaque(byte), at(end - 7), 8);
  }
  return survived();
}
