// FAULT: use-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A freed sample is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  free(slot);
#ifndef CONTROL
  keep(*at(slot + 7));
#endif
  return survived();
}
