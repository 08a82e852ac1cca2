// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One thread, not the owner, frees a small slot twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(kSmall);
  elsewhere([slot] {
    free(slot);
#ifndef CONTROL
    free(at(slot));
#endif
  });
  return survived();
}
