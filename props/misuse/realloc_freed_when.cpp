// FAULT: freed-pointer unnoticed
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of a freed allocation; once it is handed out again, that resizes what is another's.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  free(slot);
  meanwhile(WHEN, SIZE);
  char* again = WHEN == kReuse ? take_again(slot, SIZE) : nullptr;
  if (is_misuse()) {
    run_at(WHERE, [&] { keep(realloc(at(slot), 2 * SIZE)); });
    keep(again);
  } else {
    free(again);
  }
  return survived();
}
