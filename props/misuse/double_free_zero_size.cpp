// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc(0) is an allocation like any other: freed twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(0);
  free(slot);
  if (is_misuse()) {
    free(at(slot));
  }
  return survived();
}
