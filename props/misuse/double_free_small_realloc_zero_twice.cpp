// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc(p, 0) frees, and so does the second one: a free that meets what is free.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(kSmall);
  keep(realloc(slot, 0));
  if (is_misuse()) {
    keep(realloc(at(slot), 0));
  }
  return survived();
}
