// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation of which one byte too many is set to zero.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(33);
  if (is_misuse()) {
    block = at(block);
    memset(block, 0, 34);
  }
  free(block);
  return survived();
}
