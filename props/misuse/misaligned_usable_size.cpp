// FAULT: misaligned-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc_usable_size of an odd address in a slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  if (is_misuse()) {
    keep(malloc_usable_size(at(slot + 1)));
  }
  free(slot);
  return survived();
}
