// FAULT: misaligned-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of an odd address in a large block.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kLarge);
#ifndef CONTROL
  keep(realloc(at(slot + 3), kLarge));
#endif
  free(slot);
  return survived();
}
