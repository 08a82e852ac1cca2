// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy into an allocation writes beyond its end.
#include "misuse.hpp"

int main() {
  begin();
  static char other[2 * SIZE + kUnit];
  char* slot = take_for(WHEN, SIZE);
  meanwhile(WHEN, SIZE);
  const size_t usable = malloc_usable_size(slot);
  run_at(WHERE, [&] { memcpy(slot, opaque(other), usable); });
  if (is_misuse()) {
    run_at(WHERE, [&] { memcpy(at(slot), opaque(other), usable + 100); });
  }
  return survived();
}
