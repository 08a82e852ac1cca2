// FAULT: write-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation is written by its old pointer after realloc has moved it.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  keep(realloc(slot, 4000));
  if (is_misuse()) {
    *at(slot) = 1;
  }
  for (int i = 0; i != 100000; ++i) free(take(kSmall));
  return survived();
}
