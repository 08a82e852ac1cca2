// FAULT: interior-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of an address 16 bytes into a medium slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
#ifndef CONTROL
  keep(realloc(at(slot + 16), kMedium));
#endif
  free(slot);
  return survived();
}
