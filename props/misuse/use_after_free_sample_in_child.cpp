// FAULT: use-after-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A sample that was freed before a fork is read in the child.
#include <signal.h>
#include <sys/wait.h>

#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  free(slot);
  fflush(stdout);
  // The parent ends as its child does.
  const pid_t child = fork();
  if (child != 0) {
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
      signal(WTERMSIG(status), SIG_DFL);
      raise(WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
  }
  if (is_misuse()) {
    keep(*at(slot));
  }
  return survived();
}
