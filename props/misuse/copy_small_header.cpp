// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy over the first bytes of a chunk, where no allocation lies.
#include "misuse.hpp"

int main() {
  begin();
  char other[16] = {};
  char* slot = take(kSmall);
  char* header = chunk_of(slot);
  keep(header);
  memcpy(slot, opaque(other), 16);
  if (is_misuse()) {
    memcpy(at(header), opaque(other), 16);
  }
  return survived();
}
