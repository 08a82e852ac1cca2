// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Another thread writes to what malloc(0) gave.
#include "misuse.hpp"

int main() {
  begin();
  char* block = opaque(static_cast<char*>(malloc(0)));
  if (is_misuse()) {
    block = at(block);
    elsewhere([&] { block[0] = 1; });
  }
  free(block);
  return survived();
}
