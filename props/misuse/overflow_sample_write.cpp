// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte behind a sample is written.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(41);
#ifndef CONTROL
  *at(slot + 41) = 1;
#endif
  free(slot);
  return survived();
}
