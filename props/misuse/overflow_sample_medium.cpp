// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte behind a sample of several pages is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium + 1);
#ifndef CONTROL
  keep(*at(slot + kMedium + 1));
#endif
  free(slot);
  return survived();
}
