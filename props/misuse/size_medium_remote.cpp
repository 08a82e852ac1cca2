// FAULT: size-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium allocation that is deleted with another size by another thread.
#include "misuse.hpp"

int main() {
  begin();
  void* block = opaque(static_cast<void*>(operator new(kMedium)));
  if (is_misuse()) {
    block = at(block);
    elsewhere([&] { operator delete(block, 2 * kMedium); });
  } else {
    elsewhere([&] { operator delete(block, kMedium); });
  }
  return survived();
}
