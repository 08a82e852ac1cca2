// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The byte behind a sample of 33 bytes is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(33);
#ifndef CONTROL
  keep(*at(slot + 33));
#endif
  free(slot);
  return survived();
}
