// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// recv of more than the buffer holds, though less has come.
#include <sys/socket.h>

#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) _exit(kNoMemory);
  keep(write(pair[1], "abcdef", 6));
  keep(recv(pair[0], slot, usable, MSG_PEEK));
  if (is_misuse()) {
    keep(recv(pair[0], at(slot), usable + 1, MSG_PEEK));
  }
  return survived();
}
