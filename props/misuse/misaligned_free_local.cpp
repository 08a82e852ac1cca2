// FAULT: misaligned-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of an odd address in a slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  if (is_misuse()) {
    free(at(slot + 1));
  }
  free(slot);
  return survived();
}
