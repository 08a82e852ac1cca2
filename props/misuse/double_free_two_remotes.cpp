// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Two threads, neither of them the owner, free a slot one after the other.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(SIZE);
  elsewhere<0>([slot] { free(slot); });
  if (is_misuse()) {
    elsewhere<1>([slot] { free(at(slot)); });
  }
  return survived();
}
