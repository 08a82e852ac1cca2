// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// cfree twice.
#include "misuse.hpp"

int main() {
  begin();
  auto* cfree = symbol<void(void*)>("cfree");
  void* slot = take(kSmall);
  cfree(slot);
  if (is_misuse()) {
    cfree(at(slot));
  }
  return survived();
}
