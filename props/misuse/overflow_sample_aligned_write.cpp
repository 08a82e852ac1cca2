// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The byte behind a sample of 32 bytes is written, wherever that lies at the end of its pages.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(32);
  if (is_misuse()) {
    *at(slot + 32) = 1;
  }
  free(slot);
  return survived();
}
