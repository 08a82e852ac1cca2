// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind a small allocation that is freed after many others came and went.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(40);
  if (is_misuse()) {
    slot = at(slot);
    slot[40] = 1;
  }
  for (int i = 0; i != 20000; ++i) free(take(40));
  free(slot);
  return survived();
}
