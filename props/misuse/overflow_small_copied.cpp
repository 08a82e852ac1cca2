// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A canary that was copied from another slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(40);
  char* other = take(40);
  keep(other);
  if (is_misuse()) {
    slot = at(slot);
    memcpy(opaque(slot), opaque(other), 48);
  }
  free(slot);
  return survived();
}
