// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind a small allocation, freed by another thread.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(40);
#ifndef CONTROL
  slot = at(slot);
  slot[40] = 1;
#endif
  elsewhere([&] { free(slot); });
  return survived();
}
