// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind an aligned small allocation.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = opaque(static_cast<char*>(aligned_alloc(64, 100)));
  if (is_misuse()) {
    slot = at(slot);
    slot[malloc_usable_size(slot)] = 1;
  }
  free(slot);
  return survived();
}
