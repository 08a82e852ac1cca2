// FAULT: guard unnoticed
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A freed allocation is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  free(slot);
  meanwhile(WHEN, SIZE);
  char* again = WHEN == kReuse ? take_again(slot, SIZE) : nullptr;
#ifndef CONTROL
  run_at(WHERE, [&] { keep(*at(slot)); });
#endif
  free(again);
  return survived();
}
