// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One thread, not the owner, frees a slot twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(SIZE);
  elsewhere([slot] {
    free(slot);
#ifndef CONTROL
    free(at(slot));
#endif
  });
  return survived();
}
