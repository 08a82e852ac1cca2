// FAULT: size-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What malloc made is freed with twice its size.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take_for(WHEN, SIZE);
  meanwhile(WHEN, SIZE);
  auto* free_sized = symbol<void(void*, size_t)>("free_sized");
  if (is_misuse()) {
    run_at(WHERE, [&] { free_sized(at(slot), 2 * SIZE); });
  } else {
    run_at(WHERE, [&] { free_sized(slot, SIZE); });
  }
  return survived();
}
