// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A stale free of a slot that was handed out again frees what is not its own; the free of its new owner is the second.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  free(slot);
  char* again = take_again(slot, SIZE);
  if (is_misuse()) {
    run_at(WHERE, [&] { free(at(slot)); });
  }
  free(again);
  return survived();
}
