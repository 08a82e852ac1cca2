// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The owner frees a large block, then another thread does.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(kLarge);
  free(slot);
#ifndef CONTROL
  elsewhere([slot] { free(at(slot)); });
#endif
  return survived();
}
