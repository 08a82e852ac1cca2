// FAULT: underflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A number in front of a small allocation, which is as small as an index.
#include "layout.hpp"

int main() {
  begin();
  const Neighbours two = take_neighbours(kSmall);
  if (is_misuse()) {
    reinterpret_cast<int*>(at(two.second))[-1] = 7;
  }
  free(two.second);
  return survived();
}
