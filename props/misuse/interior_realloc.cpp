// FAULT: interior-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of an address 16 bytes into a slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  if (is_misuse()) {
    keep(realloc(at(slot + 16), SIZE));
  }
  free(slot);
  return survived();
}
