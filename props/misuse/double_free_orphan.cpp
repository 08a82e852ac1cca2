// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The owner has ended; another thread frees its slot twice.
#include "misuse.hpp"

int main() {
  begin();
  void* slot = nullptr;
  on_a_thread_that_ends([&slot] { slot = take(SIZE); });
  free(slot);
  if (is_misuse()) {
    free(at(slot));
  }
  return survived();
}
