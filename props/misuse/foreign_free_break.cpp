// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of memory below the program break.
#include "misuse.hpp"

int main() {
  begin();
  void* memory = opaque(sbrk(kPage));
  if (is_misuse()) {
    free(at(memory));
  }
  keep(memory);
  return survived();
}
