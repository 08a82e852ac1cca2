// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A strict reader of one object of JSON (RFC 8259) on one line, in flat memory: libraries for JSON are made of
// containers, which MemorySanitizer does not see through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stave::fuzz {

class JsonLine {
 public:
  struct Member {
    std::string_view name;   ///< between its quotation marks
    std::string_view value;  ///< as it stands there
  };
  static constexpr std::size_t kMostMembers = 64;

  /// \param line  "{...}\n", of ASCII alone
  explicit JsonLine(std::string_view line) : left_(line) { good_ = object(0) && left_ == "\n"; }

  /// Whether it is JSON, with no name twice in the outer object and no more than kMostMembers there.
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] const Member& operator[](std::size_t i) const { return members_[i]; }
  /// What an outer member is, or nothing: no value is empty.
  [[nodiscard]] std::string_view value(std::string_view name) const {
    for (std::size_t i = 0; i != count_; ++i) {
      if (members_[i].name == name) return members_[i].value;
    }
    return {};
  }

  /// Whether a string, with its quotation marks, means these bytes, each the character of its number.
  [[nodiscard]] static bool means(std::string_view string, std::string_view bytes) {
    if (string.size() < 2 || string.front() != '"') return false;
    string = string.substr(1, string.size() - 2);
    for (; !bytes.empty(); bytes.remove_prefix(1)) {
      if (string.empty()) return false;
      unsigned character = static_cast<unsigned char>(string.front());
      std::size_t length = 1;
      if (string.front() == '\\') {
        length = string[1] == 'u' ? 6 : 2;
        character = static_cast<unsigned char>(string[1]);
        if (length == 6) {
          character = 0;
          for (const char digit : string.substr(2, 4)) character = character * 16 + digit_of(digit);
        } else if (character != '"' && character != '\\' && character != '/') {
          constexpr std::string_view kLetters = "bfnrt";
          character = static_cast<unsigned char>("\b\f\n\r\t"[kLetters.find(string[1])]);
        }
      }
      if (character != static_cast<unsigned char>(bytes.front())) return false;
      string.remove_prefix(length);
    }
    return string.empty();
  }

 private:
  static constexpr unsigned kDeepest = 8;

  [[nodiscard]] static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  [[nodiscard]] static bool is_hexadecimal(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  }
  [[nodiscard]] static unsigned digit_of(char c) {
    return static_cast<unsigned>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
  }

  [[nodiscard]] char next() const { return left_.empty() ? '\0' : left_.front(); }
  [[nodiscard]] bool take(char c) {
    if (next() != c) return false;
    left_.remove_prefix(1);
    return true;
  }
  [[nodiscard]] bool take(std::string_view word) {
    if (!left_.starts_with(word)) return false;
    left_.remove_prefix(word.size());
    return true;
  }

  [[nodiscard]] bool string() {
    if (!take('"')) return false;
    for (;;) {
      const char c = next();
      if (c < ' ' || c > '~') return false;
      left_.remove_prefix(1);
      if (c == '"') return true;
      if (c != '\\') continue;
      if (take('u')) {
        for (unsigned i = 0; i != 4; ++i) {
          if (!is_hexadecimal(next())) return false;
          left_.remove_prefix(1);
        }
      } else {
        if (next() == '\0' || std::string_view("\"\\/bfnrt").find(next()) == std::string_view::npos) return false;
        left_.remove_prefix(1);
      }
    }
  }
  [[nodiscard]] bool digits() {
    if (!is_digit(next())) return false;
    while (is_digit(next())) left_.remove_prefix(1);
    return true;
  }
  [[nodiscard]] bool number() {
    (void)take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (!take('e') && !take('E')) return true;
    if (!take('+')) (void)take('-');
    return digits();
  }
  [[nodiscard]] bool value_at(unsigned depth) {
    switch (next()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return string();
      case 't':
        return take("true");
      case 'f':
        return take("false");
      case 'n':
        return take("null");
      default:
        return number();
    }
  }
  [[nodiscard]] bool array(unsigned depth) {
    if (depth == kDeepest || !take('[')) return false;
    if (take(']')) return true;
    do {
      if (!value_at(depth + 1)) return false;
    } while (take(','));
    return take(']');
  }
  [[nodiscard]] bool object(unsigned depth) {
    if (depth == kDeepest || !take('{')) return false;
    if (take('}')) return true;
    do {
      const std::string_view from = left_;
      if (!string()) return false;
      const std::string_view name = from.substr(1, from.size() - left_.size() - 2);
      if (!take(':')) return false;
      const std::string_view behind = left_;
      if (!value_at(depth + 1)) return false;
      if (depth != 0) continue;
      if (count_ == kMostMembers || !value(name).empty()) return false;
      members_[count_++] = {name, behind.substr(0, behind.size() - left_.size())};
    } while (take(','));
    return take('}');
  }

  std::string_view left_;
  bool good_ = false;
  Member members_[kMostMembers];
  std::size_t count_ = 0;
};

}  // namespace stave::fuzz
