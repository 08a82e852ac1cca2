// FAULT: alignment-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An allocation that is aligned at 64 and deleted as aligned at a gibibyte.
#include "misuse.hpp"

int main() {
  begin();
  keep(take_for(WHEN, SIZE));
  void* block = opaque(operator new (SIZE, std::align_val_t{64}));
  meanwhile(WHEN, SIZE);
  if (is_misuse()) {
    run_at(WHERE, [&] { operator delete (at(block), std::align_val_t{1 << 30}); });
  } else {
    run_at(WHERE, [&] { operator delete (block, std::align_val_t{64}); });
  }
  return survived();
}
