// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte in front of a small allocation that realloc moves.
#include "layout.hpp"

int main() {
  begin();
  const Neighbours two = take_neighbours(kSmall);
#ifndef CONTROL
  at(two.second)[-1] ^= 1;
#endif
  keep(realloc(two.second, 4000));
  return survived();
}
