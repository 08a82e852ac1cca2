// FAULT: family-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation: what malloc made, freed by delete, by another thread.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(malloc(kSmall)));
  if (is_misuse()) {
    block = at(block);
    elsewhere([&] { operator delete(block); });
  } else {
    elsewhere([&] { free(block); });
  }
  return survived();
}
