// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte behind a sample that realloc made shorter is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = opaque(static_cast<char*>(realloc(take(100), 99)));
  if (is_misuse()) {
    keep(*at(slot + 99));
  }
  free(slot);
  return survived();
}
