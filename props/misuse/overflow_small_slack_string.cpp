// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A string of which only the 0 at its end is beyond the allocation.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(33);
  if (is_misuse()) {
    block = at(block);
    strcpy(opaque(block), opaque("a string of 33 characters is this"));
  }
  free(block);
  return survived();
}
