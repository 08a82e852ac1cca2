// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte behind a sample of operator new is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = opaque(new char[41]);
  if (is_misuse()) {
    keep(*at(slot + 41));
  }
  delete[] slot;
  return survived();
}
