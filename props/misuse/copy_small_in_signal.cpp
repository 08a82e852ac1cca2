// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy beyond an allocation, in a signal handler.
#include <signal.h>

#include "misuse.hpp"

static char* slot;
static char other[200];

static void handler(int) {
  memcpy(other, slot, kSmall);
  if (is_misuse()) {
    memcpy(other, at(slot), 200);
  }
}

int main() {
  begin();
  slot = take(kSmall);
  signal(SIGUSR1, handler);
  raise(SIGUSR1);
  return survived();
}
