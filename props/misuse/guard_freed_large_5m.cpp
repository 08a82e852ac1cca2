// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The end of a freed block of 5 MiB is written.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(5 * kLarge);
  free(block);
  if (is_misuse()) {
    *at(block + 5 * kLarge - 1) = 1;
  }
  return survived();
}
