// FAULT: interior-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of the second page of a medium slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  if (is_misuse()) {
    free(at(slot + 4096));
  }
  free(slot);
  return survived();
}
