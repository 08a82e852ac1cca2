// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs that failed once, as text: a model test writes the smallest one that it found, and corpus/regress/ is run by
// every build. Each line begins with the sixteen hexadecimal digits of a record (ops.hpp), which alone count. What
// stands behind them, and in lines that begin with #, is for readers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "props/ops.hpp"

namespace stave::props {

[[nodiscard]] inline std::string regression_text(const std::string& title, const Program& program,
                                                 const SizeTable& sizes) {
  const std::vector<std::uint8_t> bytes = encode(program);
  std::string text = "# " + title + "\n";
  for (std::size_t record = 0; record != bytes.size() / kRecordBytes; ++record) {
    for (std::size_t i = 0; i != kRecordBytes; ++i) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", bytes[record * kRecordBytes + i]);
      text += digits;
    }
    text += "  " + (record == 0 ? to_text(program.header) : to_text(program.ops[record - 1], sizes)) + "\n";
  }
  return text;
}

/// The program of a text; nothing if a line is neither a record nor a comment, or there is no header.
[[nodiscard]] inline std::optional<Program> parse_regression(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    for (std::size_t i = 0; i != kRecordBytes; ++i) {
      const std::string digits(line.substr(0, 2));
      if (digits.size() != 2 || digits.find_first_not_of("0123456789abcdef") != std::string::npos) return std::nullopt;
      bytes.push_back(static_cast<std::uint8_t>(std::strtoul(digits.c_str(), nullptr, 16)));
      line.remove_prefix(2);
    }
    if (!line.empty() && line.front() != ' ') return std::nullopt;
  }
  if (bytes.empty()) return std::nullopt;
  return decode(bytes.data(), bytes.size());
}

[[nodiscard]] inline std::optional<Program> read_regression(const std::filesystem::path& path) {
  std::ifstream file(path);
  return parse_regression(std::string(std::istreambuf_iterator<char>(file), {}));
}

/// Copies a program that was saved at `saved` to `directory`, under its name and a hash of its records, and says where
/// it is now: where it was, if it cannot be read or written.
inline std::filesystem::path keep_regression(const std::filesystem::path& saved,
                                             const std::filesystem::path& directory) {
  const std::optional<Program> program = read_regression(saved);
  if (!program) return saved;
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const std::uint8_t byte : encode(*program)) hash = (hash ^ byte) * 16777619U;
  char suffix[16];
  std::snprintf(suffix, sizeof suffix, "-%08x.txt", hash);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const std::filesystem::path kept = directory / (saved.stem().string() + suffix);
  std::filesystem::copy_file(saved, kept, std::filesystem::copy_options::overwrite_existing, error);
  return error ? saved : kept;
}

}  // namespace stave::props
