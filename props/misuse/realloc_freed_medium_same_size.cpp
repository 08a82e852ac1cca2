// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of a freed medium slot to the size that it had: no move is needed, and it is freed all the same.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(kMedium);
  free(slot);
#ifndef CONTROL
  keep(realloc(at(slot), kMedium));
#endif
  return survived();
}
