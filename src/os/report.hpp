// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one way to die.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fault.hpp"

namespace stave {

/// A line of text built without allocation, locks or stdio. What does not fit is cut off.
class TextBuffer {
 public:
  TextBuffer(char* storage, std::size_t capacity) : storage_(storage), capacity_(capacity) { storage_[0] = '\0'; }

  TextBuffer& text(const char* words);
  TextBuffer& text(const char* words, std::size_t length);
  TextBuffer& decimal(std::uint64_t value);
  TextBuffer& hexadecimal(std::uint64_t value);  ///< with its 0x

  [[nodiscard]] const char* data() const { return storage_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  char* storage_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

/// Writes the report of a fault into `out`: its first line has a fixed order, so that a test can match and a user can
/// search it.
///
///     stave: double-free: 0x7f3a12c01440 (chunk 0x7f3a12c00000, size class 64, slot 17, state held) pid 4711 /bin/x
///     see SECURITY.md#double-free
void format_report(const FaultRecord& record, TextBuffer& out);

/// Reports on descriptor 2, leaves the same text in `stave_last_report`, which a core dump shows, and ends the process
/// by SIGABRT. Takes no lock and allocates nothing. A fault inside ends the process at once.
[[noreturn]] void report_and_abort(const FaultRecord& record);

/// Says something that is not a fault: one line on descriptor 2, after "stave: ".
void notice(const char* words, const char* more = "");

}  // namespace stave
