// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A freed large block is read.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  free(block);
  if (is_misuse()) {
    keep(*at(block + 100));
  }
  return survived();
}
