// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Values out of a fuzzer's input. What is not there any more is zero, so that any bytes are an input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stave::fuzz {

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  [[nodiscard]] bool empty() const { return left_ == 0; }
  [[nodiscard]] std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  /// A byte whose two lowest bits say what the six others are: 0 the number; 1 the low bits of a number of which a byte
  /// more follows; 2 nothing, eight bytes follow; 3 how far below the largest number it lies.
  [[nodiscard]] std::uint64_t number() {
    const std::uint64_t first = byte();
    switch (first & 3U) {
      case 0:
        return first >> 2U;
      case 1:
        return first >> 2U | std::uint64_t{byte()} << 6U;
      case 2: {
        std::uint64_t value = 0;
        for (unsigned i = 0; i != 8; ++i) value |= std::uint64_t{byte()} << 8 * i;
        return value;
      }
      default:
        return UINT64_MAX - (first >> 2U);
    }
  }
  /// A byte that is the length, and so many bytes.
  [[nodiscard]] std::string_view text() {
    const std::size_t wanted = byte();
    const std::size_t size = wanted < left_ ? wanted : left_;
    const std::string_view found(reinterpret_cast<const char*>(data_), size);
    data_ += size;
    left_ -= size;
    return found;
  }
  [[nodiscard]] std::string_view rest() const { return {reinterpret_cast<const char*>(data_), left_}; }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

}  // namespace stave::fuzz
