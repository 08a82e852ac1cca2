// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of one of our addresses with a bit above the address space set.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  char* high = opaque(reinterpret_cast<char*>(reinterpret_cast<size_t>(slot) | size_t{1} << 52));
  if (is_misuse()) {
    free(at(high));
  }
  free(slot);
  keep(high);
  return survived();
}
