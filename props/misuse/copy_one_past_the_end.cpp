// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memset of one byte right behind an allocation; of none is fine.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  char* end = slot + malloc_usable_size(slot);
  memset(end, 1, 0);
  if (is_misuse()) {
    memset(at(end), 1, 1);
  }
  return survived();
}
