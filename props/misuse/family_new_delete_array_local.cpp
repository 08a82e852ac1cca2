// FAULT: family-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An allocation: what new made, freed by delete[].
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(operator new(SIZE)));
  if (is_misuse()) {
    block = at(block);
    operator delete[](block);
  } else {
    operator delete(block);
  }
  return survived();
}
