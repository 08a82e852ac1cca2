// FAULT: reentered
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A large block is freed by a thread that is inside the critical section already.
#include "internals.hpp"

int main() {
  begin();
  char* block = take(kLarge);
#ifndef CONTROL
  keep(stave::g_process.arena.lock.acquire());
  free(at(block));
#endif
  keep(block);
  return survived();
}
