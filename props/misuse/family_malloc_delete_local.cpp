// FAULT: family-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An allocation: what malloc made, freed by delete.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(malloc(SIZE)));
  if (is_misuse()) {
    block = at(block);
    operator delete(block);
  } else {
    free(block);
  }
  return survived();
}
