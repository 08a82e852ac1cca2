// FAULT: interior-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of an address 8 bytes into a slot: aligned, but for no allocation.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  if (is_misuse()) {
    free(at(slot + 8));
  }
  free(slot);
  return survived();
}
