// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte in front of a large block that lies at the end of its pages is written.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kLarge + 33);
  if (is_misuse()) {
    slot = at(slot);
    slot[-1] = 1;
  }
  free(slot);
  return survived();
}
