// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/log.hpp"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "os/kernel.hpp"

namespace stave {
namespace {

/// A descriptor, and which file it was when it became the log.
struct Log {
  int descriptor = STDERR_FILENO;
  dev_t device = 0;
  ino_t file = 0;
};

Log g_log;

int identify(int descriptor, Log* log) {
  struct stat status {};
  const long answer = kernel::call(SYS_fstat, descriptor, kernel::as_word(&status));
  *log = {.descriptor = descriptor, .device = status.st_dev, .file = status.st_ino};
  return static_cast<int>(-answer);
}

int log_descriptor() {
  if (g_log.descriptor == STDERR_FILENO) return STDERR_FILENO;
  Log now;
  const bool same = identify(g_log.descriptor, &now) == 0 && now.device == g_log.device && now.file == g_log.file;
  return same ? g_log.descriptor : STDERR_FILENO;
}

void write(int descriptor, std::string_view text) { kernel::write_all(descriptor, text.data(), text.size()); }

}  // namespace

TextBuffer& TextBuffer::text(std::string_view words) {
  const std::size_t room = capacity_ - 1 - size_;
  const std::size_t taken = words.size() < room ? words.size() : room;
  if (taken == 0) return *this;  // words that are none may have no address
  std::memcpy(storage_ + size_, words.data(), taken);
  size_ += taken;
  storage_[size_] = '\0';
  return *this;
}

TextBuffer& TextBuffer::printable(std::string_view bytes) {
  for (const char& byte : bytes) text(byte >= ' ' && byte <= '~' ? std::string_view(&byte, 1) : "?");
  return *this;
}

TextBuffer& TextBuffer::decimal(std::uint64_t value) {
  char digits[20];
  std::size_t used = 0;
  do {
    digits[sizeof digits - ++used] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return text({digits + sizeof digits - used, used});
}

TextBuffer& TextBuffer::hexadecimal(std::uint64_t value) {
  char digits[16];
  std::size_t used = 0;
  do {
    digits[sizeof digits - ++used] = "0123456789abcdef"[value % 16];
    value /= 16;
  } while (value != 0);
  return text("0x").text({digits + sizeof digits - used, used});
}

int log_to_file(std::string_view path) {
  char name[PATH_MAX];
  if (path.size() >= sizeof name) return ENAMETOOLONG;
  TextBuffer(name, sizeof name).text(path);
  // Without O_NONBLOCK a FIFO that nobody reads would hold the program up.
  const long opened = kernel::call(SYS_openat, AT_FDCWD, kernel::as_word(name),
                                   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
  if (opened < 0) return static_cast<int>(-opened);
  long descriptor = opened;
  for (const long high : {1000, 200, 20}) {  // as the limit of descriptors allows
    descriptor = kernel::call(SYS_fcntl, opened, F_DUPFD_CLOEXEC, high);
    if (descriptor >= 0) break;
  }
  if (descriptor < 0) {
    descriptor = opened;
  } else {
    (void)kernel::call(SYS_close, opened);
  }
  return log_to_descriptor(static_cast<int>(descriptor));
}

int log_to_descriptor(int descriptor) {
  Log log;
  if (const int error = identify(descriptor, &log); error != 0) return error;
  const long flags = kernel::call(SYS_fcntl, descriptor, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return EBADF;
  g_log = log;
  return 0;
}

void log(std::string_view text) { write(log_descriptor(), text); }

void notice(const char* words, const char* more) {
  char storage[2048];
  TextBuffer out(storage, sizeof storage);
  log(out.text("stave: ").text(words).text(more).text("\n").view());
}

void log_loudly(std::string_view text) {
  write(STDERR_FILENO, text);
  if (const int descriptor = log_descriptor(); descriptor != STDERR_FILENO) write(descriptor, text);
}

}  // namespace stave
