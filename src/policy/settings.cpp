// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "policy/settings.hpp"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "os/kernel.hpp"
#include "os/log.hpp"

namespace stave {
namespace {

constexpr std::size_t kMostBytes = 4096;
constexpr const char* kFileNotUsed = "; the file is not used";

using Say = void (*)(void* context, const char* line);

/// Hands complaints about parts of a text on as lines.
struct Complaints {
  const char* where;
  const char* consequence;
  Say say;
  void* context;
  bool any = false;

  static void complain(void* self, const char* kind, std::string_view text, const char* valid) {
    static_cast<Complaints*>(self)->add(kind, text, valid);
  }

 private:
  void add(const char* kind, std::string_view text, const char* valid) {
    if (any && consequence[0] != '\0') return;  // of a file the first will do
    any = true;
    constexpr std::size_t kMostShown = 256;
    char storage[2048];
    TextBuffer out(storage, sizeof storage);
    out.text(where).text(": ").text(kind).text(" '");
    out.printable({text.data(), text.size() < kMostShown ? text.size() : kMostShown});
    say(context, out.text("' (valid: ").text(valid).text(")").text(consequence).data());
  }
};

/// The text after STAVE_OPTIONS= in the environment.
std::string_view variable() {
  if (environ == nullptr) return {};
  constexpr std::string_view kName = "STAVE_OPTIONS=";
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, kName.data(), kName.size()) == 0) return *entry + kName.size();
  }
  return {};
}

/// \return how many bytes were read, or minus the error number. EFBIG: there are more than `bytes`.
long read_file(const char* path, char* storage, std::size_t bytes) {
  const long file =
      kernel::call(SYS_openat, AT_FDCWD, kernel::as_word(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return file;
  struct stat status {};
  long answer = kernel::call(SYS_fstat, file, kernel::as_word(&status));
  if (answer == 0 && !S_ISREG(status.st_mode)) answer = -EINVAL;
  std::size_t size = 0;
  while (answer == 0) {
    const long got = kernel::call(SYS_read, file, kernel::as_word(storage + size), static_cast<long>(bytes - size));
    if (got == -EINTR) continue;
    if (got <= 0) {
      answer = got < 0 ? got : static_cast<long>(size);
      break;
    }
    size += static_cast<std::size_t>(got);
    if (size == bytes) answer = -EFBIG;
  }
  (void)kernel::call(SYS_close, file);
  return answer;
}

void open_log(const Options& options) {
  char storage[512];
  TextBuffer out(storage, sizeof storage);
  int error = 0;
  if (!options.log_file.empty()) {
    error = log_to_file(options.log_file);
    out.text("log_file: cannot open '").printable(options.log_file).text("'");
  } else if (options.log_fd != STDERR_FILENO) {
    error = log_to_descriptor(static_cast<int>(options.log_fd));
    out.text("log_fd: cannot use descriptor ").decimal(options.log_fd);
  }
  if (error != 0) notice(out.text(", errno ").decimal(static_cast<std::uint64_t>(error)).data());
}

}  // namespace

Options options_of_file(const char* path, const Options& before, Say say, void* context) {
  // Immortal, as the texts of options in it must be: read again, it holds the same.
  static char storage[kMostBytes + 1];
  const long read = read_file(path, storage, sizeof storage);
  if (read == -ENOENT || read == -ENOTDIR) return before;
  if (read < 0) {
    char line[512];
    TextBuffer out(line, sizeof line);
    out.text(path).text(": ");
    if (read == -EINVAL) {
      out.text("not a plain file");
    } else if (read == -EFBIG) {
      out.text("larger than 4096 bytes");
    } else {
      out.text("cannot be read, errno ").decimal(static_cast<std::uint64_t>(-read));
    }
    say(context, out.text(kFileNotUsed).data());
    return before;
  }
  Complaints complaints{.where = path, .consequence = kFileNotUsed, .say = say, .context = context};
  const Options options =
      parse_options({storage, static_cast<std::size_t>(read)},
                    {.complain = Complaints::complain, .context = &complaints}, before, OptionSyntax::lines);
  return complaints.any ? before : options;
}

Options options_of_process() {
  const bool privileged = getauxval(AT_SECURE) != 0;
  const auto all = [privileged](Say say, void* context) {
    const Options of_file = options_of_file("/etc/stave.conf", {}, say, context);
    if (privileged) return of_file;
    Complaints complaints{.where = "STAVE_OPTIONS", .consequence = "", .say = say, .context = context};
    return parse_options(variable(), {.complain = Complaints::complain, .context = &complaints}, of_file);
  };
  bool complained = false;
  Options options = all([](void* any, const char*) { *static_cast<bool*>(any) = true; }, &complained);
  if (privileged) {
    options.log_file = {};
    options.log_fd = STDERR_FILENO;
  }
  open_log(options);
  // What is not understood is said in the log, which was known when all was read.
  if (complained) (void)all([](void*, const char* line) { notice(line); }, nullptr);
  options.log_file = {};  // it may be anybody's memory from now on
  return options;
}

}  // namespace stave
