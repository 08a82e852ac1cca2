// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An element behind an array.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = opaque(new char[40]);
  if (is_misuse()) {
    slot = at(slot);
    slot[40] = 1;
  }
  delete[] slot;
  return survived();
}
