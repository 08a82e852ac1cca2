// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Another thread frees a small slot, then its owner does before it has collected anything.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(kSmall);
  elsewhere([slot] { free(slot); });
#ifndef CONTROL
  free(at(slot));
#endif
  return survived();
}
