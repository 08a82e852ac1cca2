// FAULT: family-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation: what new made, given to realloc, by another thread.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(operator new(kSmall)));
  if (is_misuse()) {
    block = at(block);
    elsewhere([&] { keep(realloc(block, 2 * kSmall)); });
  } else {
    elsewhere([&] { operator delete(block); });
  }
  return survived();
}
