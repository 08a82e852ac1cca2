// FAULT: write-after-free guard unnoticed
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A freed allocation is written; once it is handed out again, that is a write to what is another's.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  free(slot);
  meanwhile(WHEN, SIZE);
  char* again = WHEN == kReuse ? take_again(slot, SIZE) : nullptr;
  if (is_misuse()) {
    run_at(WHERE, [&] { *at(slot) = 1; });
  }
  free(again);
  if (SIZE < kLarge) {
    for (int i = 0; i != (SIZE == kSmall ? 100000 : 5000); ++i) free(take(SIZE));
  }
  return survived();
}
