// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The owner frees a slot twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(SIZE);
  free(slot);
  if (is_misuse()) {
    free(at(slot));
  }
  return survived();
}
