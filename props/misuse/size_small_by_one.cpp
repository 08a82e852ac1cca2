// FAULT: size-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation that is deleted with a size that is off by one.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(operator new(kSmall));
#ifndef CONTROL
  block = at(block);
  operator delete(block, kSmall - 1);
#else
  operator delete(block, kSmall);
#endif
  return survived();
}
