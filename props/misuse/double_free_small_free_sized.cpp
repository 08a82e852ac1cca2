// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free_sized twice.
#include "misuse.hpp"

int main() {
  begin();
  auto* free_sized = symbol<void(void*, size_t)>("free_sized");
  void* slot = take(kSmall);
  free_sized(slot, kSmall);
  if (is_misuse()) {
    free_sized(at(slot), kSmall);
  }
  return survived();
}
