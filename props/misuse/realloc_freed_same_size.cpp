// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of a freed slot to the size that it had: no move is needed, and it is freed all the same.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(SIZE);
  free(slot);
  if (is_misuse()) {
    keep(realloc(at(slot), SIZE));
  }
  return survived();
}
