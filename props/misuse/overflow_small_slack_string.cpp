// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A string of which only the 0 at its end is beyond the allocation.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(33);
#ifndef CONTROL
  block = at(block);
  strcpy(opaque(block), opaque("a string of 33 characters is this"));
#endif
  free(block);
  return survived();
}
