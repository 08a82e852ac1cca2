// FAULT: family-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A large allocation: what new made, freed by delete[].
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(operator new(kLarge)));
#ifndef CONTROL
  block = at(block);
  operator delete[](block);
#else
  operator delete(block);
#endif
  return survived();
}
