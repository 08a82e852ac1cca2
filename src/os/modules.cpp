// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/modules.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "os/kernel.hpp"

namespace stave {
namespace {

// Not on the stack: who asks may be a signal handler with little of it.
char g_lines[2048];

/// A file, line by line. Of a line that is longer than there is room for the end is cut off.
class Lines {
 public:
  explicit Lines(const char* path)
      : file_(kernel::call(SYS_openat, AT_FDCWD, kernel::as_word(path), O_RDONLY | O_CLOEXEC)) {}
  ~Lines() {
    if (file_ >= 0) (void)kernel::call(SYS_close, file_);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  bool next(std::string_view* line) {
    for (;;) {
      if (const auto* const end = static_cast<const char*>(std::memchr(g_lines + from_, '\n', size_ - from_))) {
        *line = {g_lines + from_, static_cast<std::size_t>(end - g_lines) - from_};
        from_ += line->size() + 1;
        if (!cut_) return true;
        cut_ = false;  // that was the rest of a long one
        continue;
      }
      if (from_ == 0 && size_ == sizeof g_lines) {
        *line = {g_lines, size_};
        from_ = size_;
        const bool first = !cut_;
        cut_ = true;
        if (first) return true;
      }
      if (!fill()) return false;
    }
  }

 private:
  bool fill() {
    std::memmove(g_lines, g_lines + from_, size_ - from_);
    size_ -= from_;
    from_ = 0;
    long got = -EINTR;
    while (got == -EINTR) {
      got = file_ < 0 ? 0
                      : kernel::call(SYS_read, file_, kernel::as_word(g_lines + size_),
                                     static_cast<long>(sizeof g_lines - size_));
    }
    if (got <= 0) return false;
    size_ += static_cast<std::size_t>(got);
    return true;
  }

  long file_;
  std::size_t from_ = 0;
  std::size_t size_ = 0;
  bool cut_ = false;
};

/// The number in base 16 at the beginning of a text, which is taken off with the character behind it.
std::uintptr_t take_number(std::string_view* text) {
  std::uintptr_t value = 0;
  while (!text->empty()) {
    const char digit = text->front();
    text->remove_prefix(1);
    if (digit >= '0' && digit <= '9') {
      value = value << 4 | static_cast<std::uintptr_t>(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
      value = value << 4 | static_cast<std::uintptr_t>(digit - 'a' + 10);
    } else {
      break;
    }
  }
  return value;
}

}  // namespace

void append_module(std::uintptr_t address, TextBuffer& out, const char* maps) {
  Lines lines(maps);
  std::uintptr_t base = 0;  // where the latest file is mapped from its beginning on
  // 55d0c0a00000-55d0c0a01000 r-xp 00001000 08:01 1234                       /bin/x
  for (std::string_view line; lines.next(&line);) {
    const std::uintptr_t first = take_number(&line);
    const std::uintptr_t end = take_number(&line);
    if (line.size() < 5) continue;
    line.remove_prefix(5);
    const std::uintptr_t offset = take_number(&line);
    if (offset == 0) base = first;
    if (address < first || address >= end) continue;
    const std::size_t path = line.find_first_of("/[");
    if (path == std::string_view::npos) return;
    line.remove_prefix(path);
    out.printable(line).text("+").hexadecimal(address - base);
    return;
  }
}

}  // namespace stave
