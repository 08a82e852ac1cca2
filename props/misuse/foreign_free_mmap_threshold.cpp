// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a mapping as large as a large block.
#include "misuse.hpp"

int main() {
  begin();
  char* memory = mapped(kLarge);
  if (is_misuse()) {
    free(at(memory));
  }
  keep(memory);
  return survived();
}
