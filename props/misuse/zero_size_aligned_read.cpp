// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The first byte of what aligned_alloc of no bytes gave is read.
#include "misuse.hpp"

int main() {
  begin();
  char* block = opaque(static_cast<char*>(aligned_alloc(64, 0)));
  if (is_misuse()) {
    block = at(block);
    keep(block[0]);
  }
  free(block);
  return survived();
}
