// FAULT: size-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium allocation that is delete[] with the size of something larger.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(operator new[](kMedium)));
  if (is_misuse()) {
    block = at(block);
    operator delete[](block, 2 * kMedium);
  } else {
    operator delete[](block, kMedium);
  }
  return survived();
}
