// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A write to what malloc(0) gave, after its free.
#include "misuse.hpp"

int main() {
  begin();
  char* block = opaque(static_cast<char*>(malloc(0)));
  free(block);
  if (is_misuse()) {
    block = at(block);
    block[0] = 1;
  }
  return survived();
}
