// FAULT: overflow
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A byte behind a small allocation whose thread has ended.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = nullptr;
  on_a_thread_that_ends([&] { slot = take(40); });
  if (is_misuse()) {
    slot = at(slot);
    slot[40] = 1;
  }
  free(slot);
  return survived();
}
