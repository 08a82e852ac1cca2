// FAULT: interior-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of the second 64 KiB unit of a large block: aligned as a chunk would be.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kLarge);
#ifndef CONTROL
  free(at(slot + kUnit));
#endif
  free(slot);
  return survived();
}
