// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A large allocation that is written a byte too many, then realloc.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(1000001);
  if (is_misuse()) {
    block = at(block);
    block[1000001] = 1;
  }
  keep(realloc(block, 2 * 1000001));
  return survived();
}
