// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Another thread frees an array on this stack.
#include "misuse.hpp"

int main() {
  begin();
  alignas(16) char array[64] = {};
  char* start = opaque(&array[0]);
  if (is_misuse()) {
    elsewhere([start] { free(at(start)); });
  }
  keep(start);
  return survived();
}
