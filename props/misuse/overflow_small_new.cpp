// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind what new gave.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = opaque(static_cast<char*>(operator new(40)));
#ifndef CONTROL
  slot = at(slot);
  slot[40] = 1;
#endif
  operator delete(slot);
  return survived();
}
