// FAULT: missed
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Does the next large block lie within 3 MiB of this one, at least every second time?
#include "misuse.hpp"

int main() {
  begin();
  int right = 0;
  char* block = take(kLarge);
  for (int i = 0; i != 20; ++i) {
    char* next = take(kLarge);
    right += (next < block ? block - next : next - block) < 3 * ptrdiff_t{kLarge};
    block = next;
  }
  return guessed(right, 10);
}
