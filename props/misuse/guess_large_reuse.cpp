// FAULT: missed
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Is the place of a freed large block that of the next one, at least every second time?
#include "misuse.hpp"

int main() {
  begin();
  int right = 0;
  for (int i = 0; i != 20; ++i) {
    char* block = take(kLarge);
    free(block);
    right += take(kLarge) == block;
  }
  return guessed(right, 10);
}
