// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A medium allocation that overflows and lives on; the one behind it is freed.
#include "layout.hpp"

int main() {
  begin();
  const Neighbours two = take_neighbours(kMedium);
  if (is_misuse()) {
    char* const end = at(two.first) + malloc_usable_size(two.first);
    memset(end, 1, static_cast<size_t>(two.second - end));
  }
  free(two.second);
  return survived();
}
