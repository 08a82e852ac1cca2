// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte in front of a sample that begins with its page is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(41);
#ifndef CONTROL
  keep(*at(slot - 1));
#endif
  free(slot);
  return survived();
}
