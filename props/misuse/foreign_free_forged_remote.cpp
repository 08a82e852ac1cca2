// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// As foreign_free_forged, by another thread.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  char* forged = mapped(kUnit);
  memcpy(forged, chunk_of(slot), kPage);
  char* copy = forged + (slot - chunk_of(slot));
  if (is_misuse()) {
    elsewhere([copy] { free(at(copy)); });
  }
  free(slot);
  keep(copy);
  return survived();
}
