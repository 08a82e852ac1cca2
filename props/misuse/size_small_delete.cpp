// FAULT: size-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation that is deleted with the size of something larger.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(operator new(kSmall)));
  if (is_misuse()) {
    block = at(block);
    operator delete(block, 3 * kSmall);
  } else {
    operator delete(block, kSmall);
  }
  return survived();
}
