// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A, B, A: what glibc calls fasttop, with a slot between.
#include "misuse.hpp"

int main() {
  begin();
  void* a = take(SIZE);
  void* b = take(SIZE);
  free(a);
  free(b);
  if (is_misuse()) {
    free(at(a));
  }
  return survived();
}
