// FAULT: reentered
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// fork from inside the critical section.
#include "internals.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  if (is_misuse()) {
    keep(stave::g_process.arena.lock.acquire());
    keep(at(block));
    if (fork() == 0) _exit(0);
  }
  free(block);
  return survived();
}
