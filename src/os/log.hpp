// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What Stave says, and where: the log is descriptor 2, or what was named at start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stave {

/// A line of text built without allocation, locks or stdio. What does not fit is cut off.
class TextBuffer {
 public:
  TextBuffer(char* storage, std::size_t capacity) : storage_(storage), capacity_(capacity) { storage_[0] = '\0'; }

  TextBuffer& text(std::string_view words);
  TextBuffer& printable(std::string_view bytes);  ///< a stranger's text: one line, whatever is in it
  TextBuffer& decimal(std::uint64_t value);
  TextBuffer& hexadecimal(std::uint64_t value);  ///< with its 0x

  [[nodiscard]] std::string_view view() const { return {storage_, size_}; }
  [[nodiscard]] const char* data() const { return storage_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  char* storage_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

/// Makes a file the log: made if need be, for its owner alone, and appended to. The descriptor is a high one, which
/// programs do not count on. \param path  need not be terminated
/// \return 0, or the error number; then the log stays where it was.
[[nodiscard]] int log_to_file(std::string_view path);
/// Makes an open descriptor the log. \return as above
[[nodiscard]] int log_to_descriptor(int descriptor);

/// Writes to the log. If that is no longer the file that it was at start (the program closed all descriptors, and
/// opened others), to descriptor 2.
void log(std::string_view text);

/// One line in the log, after "stave: ".
void notice(const char* words, const char* more = "");

/// Writes to descriptor 2 and, if it is another one, to the log.
void log_loudly(std::string_view text);

}  // namespace stave
