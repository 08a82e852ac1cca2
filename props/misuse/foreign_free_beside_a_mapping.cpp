// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of an address where nothing is mapped: it must not be read to be judged.
#include "misuse.hpp"

int main() {
  begin();
  char* memory = mapped(kUnit);
  munmap(memory, kUnit);
  if (is_misuse()) {
    free(at(memory + 64));
  }
  keep(memory);
  return survived();
}
