// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The parent frees a slot; its child frees it again.
#include <signal.h>
#include <sys/wait.h>

#include "misuse.hpp"

int main() {
  begin();
  void* slot = take(SIZE);
  free(slot);
  if (is_misuse()) {
    if (fork() == 0) free(at(slot));
    int status = 0;
    wait(&status);  // the child has said and reported everything; the parent ends the same way
    if (WIFSIGNALED(status)) {
      signal(WTERMSIG(status), SIG_DFL);
      raise(WTERMSIG(status));
    }
  }
  return survived();
}
