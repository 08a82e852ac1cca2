// FAULT: use-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A sample that another thread has freed is read.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  elsewhere([&] { free(slot); });
  if (is_misuse()) {
    keep(*at(slot));
  }
  return survived();
}
