// FAULT: misaligned-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of an odd address in a slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  if (is_misuse()) {
    keep(realloc(at(slot + 3), SIZE));
  }
  free(slot);
  return survived();
}
