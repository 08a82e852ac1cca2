// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of a large block that its owner freed.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(kLarge);
  free(slot);
#ifndef CONTROL
  keep(realloc(at(slot), 2 * kLarge));
#endif
  return survived();
}
