// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The first byte of what operator new of no bytes gave is read.
#include "misuse.hpp"

int main() {
  begin();
  char* block = opaque(static_cast<char*>(operator new(0)));
  if (is_misuse()) {
    block = at(block);
    keep(block[0]);
  }
  operator delete(block);
  return survived();
}
