// FAULT: alignment-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation that is aligned at 64 and deleted as aligned at a gibibyte.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(operator new (kSmall, std::align_val_t{64}));
#ifndef CONTROL
  block = at(block);
  operator delete (block, kSmall, std::align_val_t{1 << 30});
#else
  operator delete (block, kSmall, std::align_val_t{64});
#endif
  return survived();
}
