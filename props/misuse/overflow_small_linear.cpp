// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation and the slot behind it are overwritten from one end to the other.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(40);
  if (is_misuse()) {
    slot = at(slot);
    memset(opaque(slot), 1, 96);
  }
  free(slot);
  return survived();
}
