// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A large block that another thread freed is written.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  elsewhere([block] { free(block); });
  if (is_misuse()) {
    *at(block + 100) = 1;
  }
  return survived();
}
