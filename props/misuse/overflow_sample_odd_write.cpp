// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The byte behind a sample of 33 bytes is written.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(33);
  if (is_misuse()) {
    *at(slot + 33) = 1;
  }
  free(slot);
  return survived();
}
