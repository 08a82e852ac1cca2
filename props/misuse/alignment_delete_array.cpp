// FAULT: alignment-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An allocation that is aligned at 64 and deleted as aligned at a gibibyte.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(operator new[](SIZE, std::align_val_t{64}));
  if (is_misuse()) {
    block = at(block);
    operator delete[](block, std::align_val_t{1 << 30});
  } else {
    operator delete[](block, std::align_val_t{64});
  }
  return survived();
}
