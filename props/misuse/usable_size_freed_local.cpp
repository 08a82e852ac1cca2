// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc_usable_size of a slot that its owner freed.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(SIZE);
  free(slot);
  if (is_misuse()) {
    keep(malloc_usable_size(at(slot)));
  }
  return survived();
}
