// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of a function.
#include "misuse.hpp"

int main() {
  begin();
  void* function = opaque(reinterpret_cast<void*>(&abort));
#ifndef CONTROL
  free(at(function));
#endif
  keep(function);
  return survived();
}
