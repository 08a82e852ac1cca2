// FAULT: interior-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc_usable_size of an address 16 bytes into a slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  if (is_misuse()) {
    keep(malloc_usable_size(at(slot + 16)));
  }
  free(slot);
  return survived();
}
