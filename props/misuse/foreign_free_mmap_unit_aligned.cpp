// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a 64 KiB-aligned mapping of the program's own.
#include "misuse.hpp"

int main() {
  begin();
  char* memory = mapped(kUnit);
  if (is_misuse()) {
    free(at(memory));
  }
  keep(memory);
  return survived();
}
