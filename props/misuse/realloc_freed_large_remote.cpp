// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of a large block that another thread freed.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(kLarge);
  elsewhere([slot] { free(slot); });
#ifndef CONTROL
  keep(realloc(at(slot), 2 * kLarge));
#endif
  return survived();
}
