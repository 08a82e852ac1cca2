// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a page of the program's own mapping.
#include "misuse.hpp"

int main() {
  begin();
  char* memory = mapped(kUnit);
  if (is_misuse()) {
    free(at(memory + kPage));
  }
  keep(memory);
  return survived();
}
