// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Another thread frees a slot, then its owner does before it has collected anything.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(SIZE);
  elsewhere([slot] { free(slot); });
  if (is_misuse()) {
    free(at(slot));
  }
  return survived();
}
