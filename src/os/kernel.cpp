// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/kernel.hpp"

#include <poll.h>

#include <cerrno>
#include <ctime>

namespace stave::kernel {

void write_all(int descriptor, const char* text, std::size_t bytes) {
  constexpr std::size_t kAtOnce = 4096;  // what a pipe that is ready takes without blocking
  while (bytes != 0) {
    pollfd ready{.fd = descriptor, .events = POLLOUT, .revents = 0};
    const timespec patience{.tv_sec = 1, .tv_nsec = 0};
    const long polled = call(SYS_ppoll, as_word(&ready), 1, as_word(&patience), 0, 8);
    if (polled == -EINTR) continue;
    // Without poll (a filter forbids it) the write is tried all the same.
    // Nobody reads any more: to write then would be to die by SIGPIPE, without the program's handler of SIGABRT.
    if (polled == 0 || (polled > 0 && ready.revents != POLLOUT)) return;
    const long written =
        call(SYS_write, descriptor, as_word(text), static_cast<long>(bytes < kAtOnce ? bytes : kAtOnce));
    if (written == -EINTR) continue;
    if (written <= 0) return;
    text += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

}  // namespace stave::kernel
