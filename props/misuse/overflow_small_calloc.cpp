// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind what calloc gave.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = opaque(static_cast<char*>(calloc(5, 8)));
  if (is_misuse()) {
    slot = at(slot);
    slot[40] = 1;
  }
  free(slot);
  return survived();
}
