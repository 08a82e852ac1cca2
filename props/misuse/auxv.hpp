// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For programs that stand between the library and what the kernel told it at start.
#pragma once

#include <elf.h>
#include <fcntl.h>
#include <sys/auxv.h>

#include "misuse.hpp"

namespace misuse {

/// What libc's getauxval says. Works before anything is initialized.
[[nodiscard]] inline unsigned long true_auxv(unsigned long type) {
  const int file = open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);
  Elf64_auxv_t entry{};
  unsigned long value = 0;
  while (read(file, &entry, sizeof entry) == sizeof entry) {
    if (entry.a_type == type) value = entry.a_un.a_val;
  }
  close(file);
  return value;
}

}  // namespace misuse
