// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of a slot that its owner freed.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(SIZE);
  free(slot);
  if (is_misuse()) {
    keep(realloc(at(slot), 2 * SIZE));
  }
  return survived();
}
