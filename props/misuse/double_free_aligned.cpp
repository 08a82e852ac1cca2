// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A slot from posix_memalign is freed twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = nullptr;
  if (posix_memalign(&slot, 256, SIZE) != 0) return kNoMemory;
  free(slot);
  if (is_misuse()) {
    free(at(slot));
  }
  return survived();
}
