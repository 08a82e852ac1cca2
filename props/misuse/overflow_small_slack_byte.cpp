// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation that is written a byte too many, which no canary sees.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(33);
  if (is_misuse()) {
    block = at(block);
    block[33] = 1;
  }
  free(block);
  return survived();
}
