// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The last byte of a small slot, which is not the program's.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(33);
  if (is_misuse()) {
    slot = at(slot);
    slot[47] ^= 1;
  }
  free(slot);
  return survived();
}
