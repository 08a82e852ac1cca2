// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc_usable_size of a static array.
#include "misuse.hpp"

alignas(16) static char array[64];

int main() {
  begin();
  if (is_misuse()) {
    keep(malloc_usable_size(at(array)));
  }
  keep(opaque(&array[0]));
  return survived();
}
