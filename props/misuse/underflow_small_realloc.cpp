// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte in front of a small allocation that realloc moves.
#include "layout.hpp"

int main() {
  begin();
  const Neighbours two = take_neighbours(kSmall);
  if (is_misuse()) {
    at(two.second)[-1] ^= 1;
  }
  keep(realloc(two.second, 4000));
  return survived();
}
