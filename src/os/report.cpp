// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/report.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "base/attributes.hpp"
#include "os/kernel.hpp"

/// The text of the report that ended the process: for debuggers and core dumps.
extern "C" {
STAVE_EXPORT extern char stave_last_report[1024];
[[gnu::used]] char stave_last_report[1024] = {};
}

namespace stave {
namespace {

std::atomic<bool> g_dying{false};

/// One function per fault, so that the frames of a crash tell faults apart even without symbols for arguments. They
/// must not be folded into one: each names its own id.
#define STAVE_FAULT(name, id, built, cause)                                          \
  [[noreturn, gnu::noinline]] void stave_died_of_##name(const FaultRecord& record) { \
    (void)record;                                                                    \
    __asm__ volatile("" : : "r"(fault_id(Fault::name)) : "memory");                  \
    std::abort();                                                                    \
  }
#include "base/fault.def"
#undef STAVE_FAULT

void append_program(TextBuffer& out) {
  char path[256];
  const long length = kernel::call(SYS_readlinkat, AT_FDCWD, kernel::as_word("/proc/self/exe"), kernel::as_word(path),
                                   static_cast<long>(sizeof path));
  if (length > 0) {
    out.text(path, static_cast<std::size_t>(length));
  } else {
    out.text("(unknown program)");
  }
}

}  // namespace

TextBuffer& TextBuffer::text(const char* words, std::size_t length) {
  const std::size_t room = capacity_ - 1 - size_;
  const std::size_t taken = length < room ? length : room;
  std::memcpy(storage_ + size_, words, taken);
  size_ += taken;
  storage_[size_] = '\0';
  return *this;
}

TextBuffer& TextBuffer::text(const char* words) { return text(words, std::strlen(words)); }

TextBuffer& TextBuffer::decimal(std::uint64_t value) {
  char digits[20];
  std::size_t used = 0;
  do {
    digits[sizeof digits - ++used] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return text(digits + sizeof digits - used, used);
}

TextBuffer& TextBuffer::hexadecimal(std::uint64_t value) {
  char digits[16];
  std::size_t used = 0;
  do {
    digits[sizeof digits - ++used] = "0123456789abcdef"[value % 16];
    value /= 16;
  } while (value != 0);
  return text("0x").text(digits + sizeof digits - used, used);
}

void format_report(const FaultRecord& record, TextBuffer& out) {
  const char* const id = fault_id(record.fault);
  out.text("stave: ").text(id).text(": ").hexadecimal(reinterpret_cast<std::uintptr_t>(record.address)).text(" (");
  if (record.slot_size == 0) {
    out.text("not in a chunk or large block");
  } else if (record.large) {
    out.text("large block ").hexadecimal(reinterpret_cast<std::uintptr_t>(record.chunk));
    out.text(", ").decimal(record.slot_size).text(" bytes");
  } else {
    out.text("chunk ").hexadecimal(reinterpret_cast<std::uintptr_t>(record.chunk));
    out.text(", size class ").decimal(record.slot_size).text(", slot ").decimal(record.slot);
  }
  if (record.state != nullptr) out.text(", state ").text(record.state);
  out.text(") pid ").decimal(static_cast<std::uint64_t>(kernel::call(SYS_getpid))).text(" ");
  append_program(out);
  out.text(" see SECURITY.md#").text(id).text("\n");
  if (record.rule != nullptr) out.text("stave:   check: ").text(record.rule).text("\n");
  out.text("stave:   likely cause: ").text(fault_cause(record.fault)).text("\n");
}

void report_and_abort(const FaultRecord& record) {
  if (g_dying.exchange(true, std::memory_order_relaxed)) {
    // A fault inside the report, or a second thread that died meanwhile: the first report stands.
    std::abort();
  }
  TextBuffer out(stave_last_report, sizeof stave_last_report);
  format_report(record, out);
  kernel::write_all(STDERR_FILENO, out.data(), out.size());
  switch (record.fault) {
#define STAVE_FAULT(name, id, built, cause) \
  case Fault::name:                         \
    stave_died_of_##name(record);
#include "base/fault.def"
#undef STAVE_FAULT
  }
  std::abort();
}

void notice(const char* words, const char* more) {
  char storage[512];
  TextBuffer out(storage, sizeof storage);
  out.text("stave: ").text(words).text(more).text("\n");
  kernel::write_all(STDERR_FILENO, out.data(), out.size());
}

}  // namespace stave
