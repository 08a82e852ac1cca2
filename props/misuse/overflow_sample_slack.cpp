// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One byte 0 is written behind a sample that does not end with its page: found when it is freed.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(41);
  if (is_misuse()) {
    slot = at(slot);
    slot[41] = 0;
  }
  free(slot);
  return survived();
}
