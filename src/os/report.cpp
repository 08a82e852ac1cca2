// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/report.hpp"

#include <fcntl.h>
#include <sys/auxv.h>

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "base/attributes.hpp"
#include "os/kernel.hpp"
#include "os/modules.hpp"

/// The text of the report that ended the process: for debuggers and core dumps.
extern "C" {
[[gnu::visibility("default")]] extern char stave_last_report[2048];
[[gnu::used]] char stave_last_report[2048] = {};
}

namespace stave {
namespace {

std::atomic<bool> g_dying{false};
char g_program[256];
bool g_json = false;

/// One function per fault, so that the frames of a crash tell faults apart even without symbols for arguments. They
/// must not be folded into one: each names its own id.
#define STAVE_FAULT(name, id, built, cause, option)                                  \
  [[noreturn, gnu::noinline]] void stave_died_of_##name(const FaultRecord& record) { \
    (void)record;                                                                    \
    __asm__ volatile("" : : "r"(fault_id(Fault::name)) : "memory");                  \
    std::abort();                                                                    \
  }
#include "base/fault.def"
#undef STAVE_FAULT

constexpr char kDigits[] = "0123456789abcdef";

/// A fault that the processor saw is none that an option could leave out.
const char* option_against(const FaultRecord& record) {
  const bool touched = record.access != nullptr && record.function == nullptr;
  return touched ? "" : fault_option(record.fault);
}

void append_offset(const void* place, const void* start, TextBuffer& out) {
  const std::uint64_t offset = reinterpret_cast<std::uintptr_t>(place) - reinterpret_cast<std::uintptr_t>(start);
  const bool in_front = offset > UINT64_MAX / 2;
  out.text(in_front ? "-" : "").decimal(in_front ? 0 - offset : offset);
}

void append_calls(const char* what, const CallStack* calls, TextBuffer& out) {
  if (calls == nullptr || calls->count == 0) return;
  out.text("stave:   ").text(what).text(" by thread ").hexadecimal(calls->thread).text(", from");
  for (std::size_t i = 0; i != calls->shown(); ++i) out.text(" ").hexadecimal(calls->frames[i]);
  out.text("\n");
}

/// The same with the files that the addresses come from. When the report is out: to ask for them is to open a file, for
/// which a filter of system calls may end the process.
void log_modules(const char* what, const CallStack* calls) {
  static char storage[2048];
  for (std::size_t i = 0; calls != nullptr && i != calls->shown(); ++i) {
    TextBuffer out(storage, sizeof storage);
    out.text("stave:   ").text(what).text(" #").decimal(i).text(" ").hexadecimal(calls->frames[i]).text(" ");
    append_module(calls->frames[i], out);
    log_loudly(out.text("\n").view());
  }
}

const char* started_as() {
  const auto* const name = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  return name != nullptr ? name : "(unknown program)";
}

}  // namespace

void remember_program() {
  const long length = kernel::call(SYS_readlinkat, AT_FDCWD, kernel::as_word("/proc/self/exe"),
                                   kernel::as_word(g_program), static_cast<long>(sizeof g_program - 1));
  if (length > 0) {
    g_program[length] = '\0';
  } else {
    TextBuffer(g_program, sizeof g_program).text(started_as());  // without /proc
  }
}

namespace {

std::uint64_t process_number() { return static_cast<std::uint64_t>(kernel::call(SYS_getpid)); }

const char* program_name() { return g_program[0] != '\0' ? g_program : started_as(); }

/// Whoever names a program chooses its name: it must not begin a line of its own in the log.
void append_process(std::uint64_t pid, const char* program, TextBuffer& out) {
  out.text("pid ").decimal(pid).text(" ").printable(program);
}

}  // namespace

void append_process(TextBuffer& out) { append_process(process_number(), program_name(), out); }

void report_json_too() { g_json = true; }

void format_report(const FaultRecord& record, TextBuffer& out) {
  format_report(record, process_number(), program_name(), out);
}

void append_place(const FaultRecord& record, TextBuffer& out) {
  out.text("(");
  if (record.sample != 0) {
    out.text("sample ").decimal(record.sample).text(", ").decimal(record.slot_size).text(" bytes");
  } else if (record.slot_size == 0) {
    out.text("not in a chunk or large block");
  } else if (record.large) {
    out.text("large block ").hexadecimal(reinterpret_cast<std::uintptr_t>(record.chunk));
    out.text(", ").decimal(record.slot_size).text(" bytes");
  } else {
    out.text("chunk ").hexadecimal(reinterpret_cast<std::uintptr_t>(record.chunk));
    out.text(", size class ").decimal(record.slot_size).text(", slot ").decimal(record.slot);
  }
  if (record.state != nullptr) out.text(", state ").text(record.state);
  out.text(")");
}

void format_report(const FaultRecord& record, std::uint64_t pid, const char* program, TextBuffer& out) {
  const char* const id = fault_id(record.fault);
  out.text("stave: ").text(id).text(": ").hexadecimal(reinterpret_cast<std::uintptr_t>(record.address)).text(" ");
  append_place(record, out);
  out.text(" ");
  append_process(pid, program, out);
  out.text(" see SECURITY.md#").text(id).text("\n");
  if (record.rule != nullptr) out.text("stave:   check: ").text(record.rule).text("\n");
  if (record.changed != nullptr) {
    append_offset(record.changed, record.address, out.text("stave:   first changed byte: at offset "));
    if (record.written.count != 0) out.text(", where now is");
    for (std::size_t i = 0; i != record.written.count; ++i) {
      const bool told = (record.written.told >> i & 1) != 0;
      const char digits[] = {' ', kDigits[record.written.bytes[i] / 16], kDigits[record.written.bytes[i] % 16]};
      out.text(told ? std::string_view(digits, sizeof digits) : " ..");
    }
    out.text("\n");
  }
  if (record.function != nullptr) {
    out.text("stave:   ").text(record.function).text(" would ");
    out.text(record.access != nullptr ? record.access : "access").text(" ");
    out.decimal(record.bytes).text(" bytes there");
    if (record.allocation != nullptr) {
      const std::uint64_t end = reinterpret_cast<std::uintptr_t>(record.allocation) + record.allocation_bytes;
      out.text(", ").decimal(reinterpret_cast<std::uintptr_t>(record.address) + record.bytes - end);
      out.text(" beyond the end of the allocation of ").decimal(record.allocation_bytes).text(" bytes at ");
      out.hexadecimal(reinterpret_cast<std::uintptr_t>(record.allocation));
    }
    out.text("\n");
  } else if (record.access != nullptr || record.allocation != nullptr) {
    out.text("stave:   the access: ").text(record.access != nullptr ? record.access : "unknown");
    if (record.allocation != nullptr) {
      append_offset(record.address, record.allocation, out.text(", at offset "));
      out.text(" of the allocation at ").hexadecimal(reinterpret_cast<std::uintptr_t>(record.allocation));
    }
    out.text("\n");
  }
  if (record.family != nullptr) {
    out.text("stave:   the allocation: ").decimal(record.requested).text(" bytes by ").text(record.family).text("\n");
  }
  append_calls("touched", record.touched, out);
  out.text("stave:   likely cause: ").text(fault_cause(record.fault)).text("\n");
  if (const char* const option = option_against(record); option[0] != '\0') {
    out.text("stave:   STAVE_OPTIONS=").text(option).text(" leaves this check out\n");
  }
  if (record.sample == 0) return;
  out.text("stave:   sample_seed=").decimal(record.sample_seed).text(" makes it a sample again\n");
  append_calls("allocated", record.allocated, out);
  append_calls("freed", record.freed, out);
}

void report_and_abort(const FaultRecord& record) {
  if (g_dying.exchange(true, std::memory_order_relaxed)) {
    // A fault inside the report, or a second thread that died meanwhile: the first report stands.
    std::abort();
  }
  TextBuffer out(stave_last_report, sizeof stave_last_report);
  format_report(record, out);
  log_loudly(out.view());
  log_modules("touched", record.touched);
  log_modules("allocated", record.allocated);
  log_modules("freed", record.freed);
  if (g_json) {
    static char storage[4096];
    TextBuffer json(storage, sizeof storage);
    format_json(record, process_number(), program_name(), json);
    log(json.view());
  }
  switch (record.fault) {
#define STAVE_FAULT(name, id, built, cause, option) \
  case Fault::name:                                 \
    stave_died_of_##name(record);
#include "base/fault.def"
#undef STAVE_FAULT
  }
  std::abort();
}

}  // namespace stave
