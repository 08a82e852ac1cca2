// FAULT: interior-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of an address 16 bytes into a slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take_for(WHEN, SIZE);
  meanwhile(WHEN, SIZE);
#ifndef CONTROL
  run_at(WHERE, [&] { free(at(slot + 16)); });
#endif
  free(slot);
  return survived();
}
