// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a function.
#include "misuse.hpp"

int main() {
  begin();
  void* function = opaque(reinterpret_cast<void*>(&abort));
  if (is_misuse()) {
    free(at(function));
  }
  keep(function);
  return survived();
}
