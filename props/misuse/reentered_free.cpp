// FAULT: reentered
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A large block is freed by a thread that is inside the critical section already.
#include "internals.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  if (is_misuse()) {
    keep(stave::g_process.arena.lock.acquire());
    free(at(block));
  }
  keep(block);
  return survived();
}
