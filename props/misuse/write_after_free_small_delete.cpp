// FAULT: write-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An object is written after it was deleted.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = opaque(static_cast<char*>(operator new(kSmall)));
  operator delete(slot);
  if (is_misuse()) {
    *at(slot) = 1;
  }
  for (int i = 0; i != 100000; ++i) free(take(kSmall));
  return survived();
}
