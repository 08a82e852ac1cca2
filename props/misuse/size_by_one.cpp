// FAULT: size-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An allocation that is deleted with a size that is off by one.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(operator new(SIZE));
  if (is_misuse()) {
    block = at(block);
    operator delete(block, SIZE - 1);
  } else {
    operator delete(block, SIZE);
  }
  return survived();
}
