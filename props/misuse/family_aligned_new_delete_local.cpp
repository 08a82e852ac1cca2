// FAULT: family-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An allocation: what an aligned new made, freed by delete.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(operator new (SIZE, std::align_val_t{64})));
  if (is_misuse()) {
    block = at(block);
    operator delete(block);
  } else {
    operator delete (block, std::align_val_t{64});
  }
  return survived();
}
