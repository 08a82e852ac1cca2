// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a 64 KiB-aligned mapping of the program's own.
#include "misuse.hpp"

int main() {
  begin();
  char* memory = mapped(kUnit);
#ifndef CONTROL
  free(at(memory));
#endif
  keep(memory);
  return survived();
}
