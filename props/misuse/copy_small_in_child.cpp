// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// memcpy beyond an allocation, in the child of a fork.
#include <sys/wait.h>

#include "misuse.hpp"

int main() {
  begin();
  char other[200] = {};
  char* slot = take(kSmall);
  const pid_t child = fork();
  if (child != 0) {
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) abort();
    return 0;
  }
  memcpy(opaque(other), slot, kSmall);
  if (is_misuse()) {
    memcpy(opaque(other), at(slot), 200);
  }
  return survived();
}
