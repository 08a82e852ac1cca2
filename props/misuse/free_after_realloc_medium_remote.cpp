// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The old address of a medium slot that realloc moved is freed by another thread.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kMedium);
  char* moved = opaque(static_cast<char*>(realloc(slot, 2 * kMedium)));
  if (moved == slot) moved = opaque(static_cast<char*>(realloc(slot, 64 * kMedium)));
  if (moved == nullptr || moved == slot) return kNoMemory;
#ifndef CONTROL
  elsewhere([slot] { free(at(slot)); });
#endif
  free(moved);
  return survived();
}
