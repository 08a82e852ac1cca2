// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Freed by main, and again by an atexit handler.
#include "misuse.hpp"

static void* slot;

int main() {
  begin();
  slot = take(kSmall);
  free(slot);
  if (is_misuse()) {
    atexit([] {
      free(at(slot));
      keep(survived());
    });
    return 0;
  }
  return survived();
}
