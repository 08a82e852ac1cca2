// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of an address that no program can have.
#include "misuse.hpp"

int main() {
  begin();
  void* high = opaque(reinterpret_cast<void*>(0xffff888000000000));
  if (is_misuse()) {
    free(at(high));
  }
  keep(high);
  return survived();
}
