// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// operator delete twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = opaque(::operator new(kSmall));
  ::operator delete(slot);
  if (is_misuse()) {
    ::operator delete(at(slot));
  }
  return survived();
}
