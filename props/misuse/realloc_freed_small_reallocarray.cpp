// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// reallocarray of a freed slot.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(kSmall);
  free(slot);
  if (is_misuse()) {
    keep(reallocarray(at(slot), 10, 10));
  }
  return survived();
}
