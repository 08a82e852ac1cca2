// FAULT: interior-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Another thread frees an address 16 bytes into a slot.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(SIZE);
  if (is_misuse()) {
    elsewhere([slot] { free(at(slot + 16)); });
  }
  free(slot);
  return survived();
}
