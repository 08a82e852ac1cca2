// FAULT: missed
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Are two large blocks in a row as far apart as the two before, at least every second time?
#include "misuse.hpp"

int main() {
  begin();
  int right = 0;
  ptrdiff_t distance = 0;
  char* block = take(kLarge);
  for (int i = 0; i != 20; ++i) {
    char* next = take(kLarge);
    right += next - block == distance;
    distance = next - block;
    block = next;
  }
  return guessed(right, 10);
}
