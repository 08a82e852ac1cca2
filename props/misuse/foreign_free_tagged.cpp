// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of one of our addresses with a tag in its top byte.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  char* tagged = opaque(reinterpret_cast<char*>(reinterpret_cast<size_t>(slot) | size_t{0x5a} << 56));
  if (is_misuse()) {
    free(at(tagged));
  }
  free(slot);
  keep(tagged);
  return survived();
}
