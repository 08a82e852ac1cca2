// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte behind a sample of operator new is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = opaque(new char[41]);
#ifndef CONTROL
  keep(*at(slot + 41));
#endif
  delete[] slot;
  return survived();
}
