// FAULT: freed-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Another thread reallocs a slot that its owner freed.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(SIZE);
  free(slot);
  if (is_misuse()) {
    elsewhere([slot] { keep(realloc(at(slot), 2 * SIZE)); });
  }
  return survived();
}
