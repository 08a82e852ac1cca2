// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A freed large block is written after others of its size were handed out: its place stays out of use.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  free(block);
  char* next = take(kLarge);
  char* after = take(kLarge);
  if (next == block || after == block) return 1;
  if (is_misuse()) {
    *at(block + 100) = 1;
  }
  free(next);
  free(after);
  return survived();
}
