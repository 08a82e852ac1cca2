// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one way to die.
#pragma once

#include "base/fault.hpp"
#include "os/log.hpp"

namespace stave {

/// Writes the report of a fault into `out`: its first line has a fixed order, so that a test can match and a user can
/// search it.
///
///     stave: double-free: 0x7f3a12c01440 (chunk 0x7f3a12c00000, size class 64, slot 17, state held) pid 4711 /bin/x
///     see SECURITY.md#double-free
///
/// Any bytes of `program` are allowed.
void format_report(const FaultRecord& record, std::uint64_t pid, const char* program, TextBuffer& out);
/// The same of this process.
void format_report(const FaultRecord& record, TextBuffer& out);

/// Where the record's address lies, and the state of that: "(chunk 0x7f3a12c00000, size class 64, slot 17, state
/// held)".
void append_place(const FaultRecord& record, TextBuffer& out);

/// The same as one line of JSON: see "Reports" in README.md.
void format_json(const FaultRecord& record, std::uint64_t pid, const char* program, TextBuffer& out);

/// From now on the log gets that line as well, after a report. Once, at the start.
void report_json_too();

/// Learns which program this is. Once, at the start: later a sandbox may end the process for asking.
void remember_program();

/// "pid 4711 /bin/x": this process. Without /proc the name by which it was started.
void append_process(TextBuffer& out);

/// Reports on descriptor 2 and in the log, leaves the same text in `stave_last_report`, which a core dump shows, and
/// ends the process by SIGABRT. Takes no lock and allocates nothing. A fault inside ends the process at once.
[[noreturn]] void report_and_abort(const FaultRecord& record);

}  // namespace stave
