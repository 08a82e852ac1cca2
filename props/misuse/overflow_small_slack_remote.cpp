// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation that is written a byte too many, freed by another thread.
#include "misuse.hpp"

int main() {
  begin();
  char* block = take(33);
  if (is_misuse()) {
    block = at(block);
    block[33] = 1;
  }
  elsewhere([&] { free(block); });
  return survived();
}
