// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of a medium slot that its owner freed.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(kMedium);
  free(slot);
#ifndef CONTROL
  keep(realloc(at(slot), 2 * kMedium));
#endif
  return survived();
}
