// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A sized array delete twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = opaque(::operator new[](kSmall));
  ::operator delete[](slot, kSmall);
  if (is_misuse()) {
    ::operator delete[](at(slot), kSmall);
  }
  return survived();
}
