// FAULT: missed
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What an allocation held is looked for where its memory is handed out again.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  memset(slot, 0x5a, SIZE);
  run_at(WHERE, [&] { free(slot); });
  char* again = SIZE < kLarge ? take_again(slot, SIZE) : take(SIZE);
  if (is_misuse()) {
    again = at(again);
    size_t found = 0;
    for (size_t i = 0; i != SIZE; ++i) found += again[i] == 0x5a;
    return guessed(found != 0);
  } else {
    free(again);
    return survived();
  }
}
