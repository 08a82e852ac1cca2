// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A small allocation that overflows and lives on; the one behind it is freed.
#include "layout.hpp"

int main() {
  begin();
  const Neighbours two = take_neighbours(kSmall);
  if (is_misuse()) {
    at(two.first)[malloc_usable_size(two.first)] = 1;
  }
  free(two.second);
  return survived();
}
