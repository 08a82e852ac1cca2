// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The last byte in front of a large block aligned at 64 KiB is written.
#include "misuse.hpp"

int main() {
  begin();
  char* block = opaque(static_cast<char*>(aligned_alloc(kUnit, kLarge)));
  if (is_misuse()) {
    *at(block - 1) = 1;
  }
  free(block);
  return survived();
}
