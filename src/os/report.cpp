// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/report.hpp"

#include <fcntl.h>
#include <sys/auxv.h>

#include <atomic>
#include <cstdlib>

#include "base/attributes.hpp"
#include "os/kernel.hpp"

/// The text of the report that ended the process: for debuggers and core dumps.
extern "C" {
[[gnu::visibility("default")]] extern char stave_last_report[1024];
[[gnu::used]] char stave_last_report[1024] = {};
}

namespace stave {
namespace {

std::atomic<bool> g_dying{false};
char g_program[256];

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

}  // namespace

void remember_program() {
  const long length = kernel::call(SYS_readlinkat, AT_FDCWD, kernel::as_word("/proc/self/exe"),
                                   kernel::as_word(g_program), static_cast<long>(sizeof g_program - 1));
  g_program[length > 0 ? length : 0] = '\0';
}

void append_process(TextBuffer& out) {
  out.text("pid ").decimal(static_cast<std::uint64_t>(kernel::call(SYS_getpid))).text(" ");
  if (g_program[0] != '\0') {
    out.text(g_program);
  } else {  // without /proc
    const auto* const started_as = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
    out.text(started_as != nullptr ? started_as : "(unknown program)");
  }
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
  out.text(") ");
  append_process(out);
  out.text(" see SECURITY.md#").text(id).text("\n");
  if (record.rule != nullptr) out.text("stave:   check: ").text(record.rule).text("\n");
  if (record.changed != nullptr) {
    out.text("stave:   first changed byte: at offset ");
    out.decimal(static_cast<std::uint64_t>(static_cast<const char*>(record.changed) -
                                           static_cast<const char*>(record.address)));
    out.text("\n");
  }
  if (record.function != nullptr) {
    out.text("stave:   ").text(record.function).text(" would ").text(record.access).text(" ");
    out.decimal(record.bytes).text(" bytes there");
    if (record.allocation != nullptr) {
      const std::uint64_t end = reinterpret_cast<std::uintptr_t>(record.allocation) + record.allocation_bytes;
      out.text(", ").decimal(reinterpret_cast<std::uintptr_t>(record.address) + record.bytes - end);
      out.text(" beyond the end of the allocation of ").decimal(record.allocation_bytes).text(" bytes at ");
      out.hexadecimal(reinterpret_cast<std::uintptr_t>(record.allocation));
    }
    out.text("\n");
  }
  out.text("stave:   likely cause: ").text(fault_cause(record.fault)).text("\n");
}

void report_and_abort(const FaultRecord& record) {
  if (g_dying.exchange(true, std::memory_order_relaxed)) {
    // A fault inside the report, or a second thread that died meanwhile: the first report stands.
    std::abort();
  }
  TextBuffer out(stave_last_report, sizeof stave_last_report);
  format_report(record, out);
  log_loudly(out.view());
  switch (record.fault) {
#define STAVE_FAULT(name, id, built, cause) \
  case Fault::name:                         \
    stave_died_of_##name(record);
#include "base/fault.def"
#undef STAVE_FAULT
  }
  std::abort();
}

}  // namespace stave
