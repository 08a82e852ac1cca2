// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind a small allocation that fills a slot of its size.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(48);
  if (is_misuse()) {
    slot = at(slot);
    slot[malloc_usable_size(slot)] = 1;
  }
  free(slot);
  return survived();
}
