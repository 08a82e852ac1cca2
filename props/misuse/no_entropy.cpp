// FAULT: no-entropy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// getrandom is refused by a seccomp filter, and the kernel passed no random bytes. The twin has the latter.
#include "auxv.hpp"
#include "refuse.hpp"

extern "C" unsigned long getauxval(unsigned long type) {
  if (is_misuse()) {
    static char asked;
    if (type == AT_RANDOM && is_refused(SYS_getrandom)) {
      keep(at(&asked));
      return 0;
    }
  }
  return true_auxv(type);
}

int main(int arguments, char** program) {
  begin();
  if (arguments == 1) {  // the filter must be there before the allocator is: once more from the start
    refuse(SYS_getrandom, ENOSYS);
    execl("/proc/self/exe", program[0], "again", nullptr);
    return 1;
  }
  return survived();
}
