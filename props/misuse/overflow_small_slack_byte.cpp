// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation that is written a byte too many, which no canary sees.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(33);
#ifndef CONTROL
  block = at(block);
  block[33] = 1;
#endif
  free(block);
  return survived();
}
