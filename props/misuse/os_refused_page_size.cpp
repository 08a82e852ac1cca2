// FAULT: os-refused
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The kernel names a page size that no kernel has.
#include "auxv.hpp"

extern "C" unsigned long getauxval(unsigned long type) {
  if (is_misuse()) {
    static char asked;
    if (type == AT_PAGESZ) {
      keep(at(&asked));
      return 12345;
    }
  }
  return true_auxv(type);
}

int main() {
  begin();

  return survived();
}
