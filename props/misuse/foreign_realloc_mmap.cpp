// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// realloc of a page of the program's own mapping.
#include "misuse.hpp"

int main() {
  begin();
  char* memory = mapped(kUnit);
  if (is_misuse()) {
    keep(realloc(at(memory + kPage), 100));
  }
  keep(memory);
  return survived();
}
