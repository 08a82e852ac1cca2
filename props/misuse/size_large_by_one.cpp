// FAULT: size-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A large allocation that is deleted with a size that is off by one.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(operator new(kLarge));
#ifndef CONTROL
  block = at(block);
  operator delete(block, kLarge - 1);
#else
  operator delete(block, kLarge);
#endif
  return survived();
}
