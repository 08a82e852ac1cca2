// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation and the slot behind it are overwritten from one end to the other.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(40);
#ifndef CONTROL
  slot = at(slot);
  memset(opaque(slot), 1, 96);
#endif
  free(slot);
  return survived();
}
