// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A slot from calloc is freed twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = opaque(calloc(6, 8));
  free(slot);
  if (is_misuse()) {
    free(at(slot));
  }
  return survived();
}
