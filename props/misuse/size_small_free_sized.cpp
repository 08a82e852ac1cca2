// FAULT: size-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation that is freed with another size.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(malloc(kSmall)));
  if (is_misuse()) {
    block = at(block);
    symbol<void(void*, size_t)>("free_sized")(block, 3 * kSmall);
  } else {
    symbol<void(void*, size_t)>("free_sized")(block, kSmall);
  }
  return survived();
}
