// FAULT: reentered
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// malloc is called from inside its own start, by a function of the program that stands in front of libc's.
#include "auxv.hpp"

extern "C" unsigned long getauxval(unsigned long type) {
  if (is_misuse()) {
    static bool inside;
    if (!inside) {
      inside = true;
      keep(at(&inside));
      keep(malloc(kSmall));
    }
  }
  return true_auxv(type);
}

int main() {
  begin();

  return survived();
}
