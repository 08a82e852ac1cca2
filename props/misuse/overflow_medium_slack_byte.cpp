// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium allocation that is written a byte too many, which no canary sees.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(40001);
  if (is_misuse()) {
    block = at(block);
    block[40001] = 1;
  }
  free(block);
  return survived();
}
