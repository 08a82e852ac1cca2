// FAULT: interior-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of the second 64 KiB unit of a large block: aligned as a chunk would be.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kLarge);
  if (is_misuse()) {
    free(at(slot + kUnit));
  }
  free(slot);
  return survived();
}
