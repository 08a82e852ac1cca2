// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A file in memory, for what reads a file by its name, or writes to a descriptor.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "fuzz/expect.hpp"

namespace stave::fuzz {

class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0) broken("no file in memory");
    std::snprintf(path_, sizeof path_, "/proc/self/fd/%d", descriptor_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(descriptor_); }

  void hold(std::string_view contents) const {
    if (ftruncate(descriptor_, 0) != 0 ||
        pwrite(descriptor_, contents.data(), contents.size(), 0) != static_cast<ssize_t>(contents.size())) {
      broken("a file in memory takes no contents");
    }
  }
  [[nodiscard]] std::string contents() const {
    std::string text;
    char part[4096];
    for (ssize_t got = 0; (got = pread(descriptor_, part, sizeof part, static_cast<off_t>(text.size()))) > 0;)
      text.append(part, static_cast<std::size_t>(got));
    return text;
  }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// Opened anew, it is read from its beginning.
  [[nodiscard]] const char* path() const { return path_; }

 private:
  int descriptor_;
  char path_[64];
};

}  // namespace stave::fuzz
