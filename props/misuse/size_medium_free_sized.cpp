// FAULT: size-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium allocation that is freed with another size.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(malloc(kMedium)));
  if (is_misuse()) {
    block = at(block);
    symbol<void(void*, size_t)>("free_sized")(block, 2 * kMedium);
  } else {
    symbol<void(void*, size_t)>("free_sized")(block, kMedium);
  }
  return survived();
}
