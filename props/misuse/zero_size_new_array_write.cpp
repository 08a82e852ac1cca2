// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The first byte of what operator new[] of no elements gave is written.
#include "misuse.hpp"

int main() {
  begin();
  char* block = opaque(static_cast<char*>(operator new[](0)));
  if (is_misuse()) {
    block = at(block);
    block[0] = 1;
  }
  operator delete[](block);
  return survived();
}
