// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/kernel.hpp"

#include <cerrno>

namespace stave::kernel {

void write_all(int descriptor, const char* text, std::size_t bytes) {
  while (bytes != 0) {
    const long written = call(SYS_write, descriptor, as_word(text), static_cast<long>(bytes));
    if (written == -EINTR) continue;
    if (written <= 0) return;
    text += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

}  // namespace stave::kernel
