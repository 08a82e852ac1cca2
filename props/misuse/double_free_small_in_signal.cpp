// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Freed by main, and again by a signal handler.
#include <signal.h>

#include "misuse.hpp"

static void* slot;

int main() {
  begin();
  slot = take(kSmall);
  free(slot);
  signal(SIGUSR1, [](int) {
    if (is_misuse()) {
      free(at(slot));
    }
  });
  raise(SIGUSR1);
  return survived();
}
