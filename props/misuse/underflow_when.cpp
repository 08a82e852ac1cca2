// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte in front of an allocation.
#include "layout.hpp"

int main() {
  begin();
  const Neighbours two = take_neighbours(SIZE);
  meanwhile(WHEN, SIZE);
  if (is_misuse()) {
    run_at(WHERE, [&] { at(two.second)[-1] ^= 1; });
  }
  free(two.second);
  return survived();
}
