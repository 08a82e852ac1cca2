// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An aligned delete twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = opaque(::operator new (kSmall, std::align_val_t{64}));
  ::operator delete (slot, std::align_val_t{64});
  if (is_misuse()) {
    ::operator delete (at(slot), std::align_val_t{64});
  }
  return survived();
}
