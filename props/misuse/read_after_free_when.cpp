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
  if (is_misuse()) {
    run_at(WHERE, [&] { keep(*at(slot)); });
  }
  free(again);
  return survived();
}
