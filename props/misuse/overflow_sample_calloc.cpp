// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte behind a sample of calloc is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = opaque(static_cast<char*>(calloc(3, 7)));
  if (is_misuse()) {
    keep(*at(slot + 21));
  }
  free(slot);
  return survived();
}
