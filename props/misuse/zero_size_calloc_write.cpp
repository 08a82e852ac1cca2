// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The first byte of what calloc of no elements gave is written.
#include "misuse.hpp"

int main() {
  begin();
  char* block = opaque(static_cast<char*>(calloc(0, 16)));
  if (is_misuse()) {
    block = at(block);
    block[0] = 1;
  }
  free(block);
  return survived();
}
