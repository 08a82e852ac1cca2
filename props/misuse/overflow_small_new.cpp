// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind what new gave.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = opaque(static_cast<char*>(operator new(40)));
  if (is_misuse()) {
    slot = at(slot);
    slot[40] = 1;
  }
  operator delete(slot);
  return survived();
}
