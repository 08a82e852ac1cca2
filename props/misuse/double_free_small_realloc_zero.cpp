// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc(p, 0) frees; free(p) then frees again.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(kSmall);
  keep(realloc(slot, 0));
  if (is_misuse()) {
    free(at(slot));
  }
  return survived();
}
