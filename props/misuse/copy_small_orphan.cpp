// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy beyond an allocation of a thread that has ended.
#include "misuse.hpp"

int main() {
  begin();
  char other[200] = {};
  char* slot = nullptr;
  on_a_thread_that_ends([&] { slot = take(kSmall); });
  memcpy(opaque(other), slot, kSmall);
  if (is_misuse()) {
    memcpy(opaque(other), at(slot), 200);
  }
  return survived();
}
