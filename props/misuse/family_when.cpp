// FAULT: family-mismatch
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What malloc made is deleted.
#include "misuse.hpp"

int main() {
  begin();
  char* slot = take_for(WHEN, SIZE);
  meanwhile(WHEN, SIZE);
  if (is_misuse()) {
    run_at(WHERE, [&] { operator delete(at(slot)); });
  } else {
    run_at(WHERE, [&] { free(slot); });
  }
  return survived();
}
