// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// operator delete twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = opaque(::operator new(kSmall));
  ::operator delete(slot);
#ifndef CONTROL
  ::operator delete(at(slot));
#endif
  return survived();
}
