// FAULT: out-of-bounds-copy
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// recvfrom of more than the buffer holds.
#include <sys/socket.h>

#include "misuse.hpp"

int main() {
  begin();
  char* slot = take(kSmall);
  const size_t usable = malloc_usable_size(slot);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) _exit(kNoMemory);
  keep(write(pair[1], "abcdef", 6));
  keep(recvfrom(pair[0], slot, usable, MSG_PEEK, nullptr, nullptr));
  if (is_misuse()) {
    keep(recvfrom(pair[0], at(slot), usable + 1, MSG_PEEK, nullptr, nullptr));
  }
  return survived();
}
