// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A string that is longer than its buffer.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(20);
  if (is_misuse()) {
    slot = at(slot);
    strcpy(opaque(slot), opaque("a name that is longer than its buffer is"));
  }
  free(slot);
  return survived();
}
