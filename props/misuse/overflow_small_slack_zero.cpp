// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation of which one byte too many is set to zero.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(33);
#ifndef CONTROL
  block = at(block);
  memset(block, 0, 34);
#endif
  free(block);
  return survived();
}
