// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of an address in the page of the null pointer.
#include "misuse.hpp"

int main() {
  begin();
  void* low = opaque(reinterpret_cast<void*>(16));
  if (is_misuse()) {
    free(at(low));
  }
  keep(low);
  return survived();
}
