// FAULT: misaligned-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of an odd address in a medium slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
#ifndef CONTROL
  keep(realloc(at(slot + 3), kMedium));
#endif
  free(slot);
  return survived();
}
