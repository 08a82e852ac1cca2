// FAULT: guard
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The last byte in front of the page of a large block is written.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  char* page = opaque(reinterpret_cast<char*>(reinterpret_cast<size_t>(block) & ~(kPage - 1)));
  if (is_misuse()) {
    *at(page - 1) = 1;
  }
  free(block);
  keep(page);
  return survived();
}
