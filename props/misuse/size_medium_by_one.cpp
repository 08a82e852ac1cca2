// FAULT: size-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium allocation that is deleted with a size that is off by one.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(operator new(kMedium));
#ifndef CONTROL
  block = at(block);
  operator delete(block, kMedium - 1);
#else
  operator delete(block, kMedium);
#endif
  return survived();
}
