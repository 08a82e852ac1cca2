// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Contents of allocations: a keyed pattern, so that bytes that went astray are told from those that belong.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

// These loops are most of what a fuzzer's program would do if they were instrumented. Whether an allocation is
// addressable is asked of AddressSanitizer as a whole, by the runner.
#if defined(__clang__)
#define STAVE_PROPS_PLAIN __attribute__((no_sanitize("address", "undefined", "coverage")))
#else
#define STAVE_PROPS_PLAIN __attribute__((no_sanitize("address", "undefined")))
#endif

namespace stave::props {

inline constexpr std::size_t kNoMismatch = SIZE_MAX;

/// The word that belongs at `offset`, a multiple of 8, of an allocation filled with `seed`. Never zero for offset 0,
/// so that zeroed memory is not taken for kept contents.
[[nodiscard]] STAVE_PROPS_PLAIN inline std::uint64_t pattern_word(std::uint32_t seed, std::size_t offset) {
  std::uint64_t word = (std::uint64_t{seed} + 1) * 0x9E37'79B9'7F4A'7C15U ^ offset * 0xD6E8'FEB8'6659'FD93U;
  return word ^ word >> 29U;
}

/// How closely fills and checks look.
enum class Pieces : std::uint8_t {
  some,       ///< of what is larger than a kibibyte: the head and the tail
  each_page,  ///< and a word of each page between (of few, beyond a mebibyte): pages that go astray are noticed
};

/// Of allocations, one in eight is looked at closely: each page that is touched takes as long as a small one's life.
[[nodiscard]] constexpr Pieces pieces_of(std::uint32_t seed) {
  return seed % 8 == 0 ? Pieces::each_page : Pieces::some;
}

template <class Visit>
STAVE_PROPS_PLAIN inline void for_each_piece(std::size_t size, Pieces pieces, Visit&& visit) {
  constexpr std::size_t kWhole = 1024;
  constexpr std::size_t kHead = 512;
  constexpr std::size_t kTail = 256;
  constexpr std::size_t kPage = 4096;
  constexpr std::size_t kDense = std::size_t{1} << 20U;
  if (size <= kWhole) {
    visit(std::size_t{0}, size);
    return;
  }
  visit(std::size_t{0}, kHead);
  const std::size_t tail = (size - kTail) & ~std::size_t{7};
  // Beyond a mebibyte a few words must do.
  const std::size_t stride = size <= kDense ? kPage : (tail - kHead) / 4 & ~(kPage - 1);
  if (pieces == Pieces::each_page) {
    for (std::size_t at = kHead + stride; at + 8 <= tail; at += stride) visit(at, std::size_t{8});
  }
  visit(tail, size - tail);
}

STAVE_PROPS_PLAIN inline void write_pattern(char* address, std::size_t size, std::uint32_t seed) {
  for_each_piece(size, pieces_of(seed), [&](std::size_t from, std::size_t length) STAVE_PROPS_PLAIN {
    std::size_t done = 0;
    for (; done + 8 <= length; done += 8) {
      const std::uint64_t word = pattern_word(seed, from + done);
      std::memcpy(address + from + done, &word, 8);
    }
    if (done < length) {
      const std::uint64_t word = pattern_word(seed, from + done);
      std::memcpy(address + from + done, &word, length - done);
    }
  });
}

/// The first byte among the first `kept` that is not what write_pattern(address, size, seed) left, or kNoMismatch.
[[nodiscard]] STAVE_PROPS_PLAIN inline std::size_t find_mismatch(const char* address, std::size_t size,
                                                                 std::size_t kept, std::uint32_t seed) {
  std::size_t mismatch = kNoMismatch;
  for_each_piece(size, pieces_of(seed), [&](std::size_t from, std::size_t whole) STAVE_PROPS_PLAIN {
    if (mismatch != kNoMismatch || from >= kept) return;
    const std::size_t length = std::min(whole, kept - from);
    for (std::size_t done = 0; done < length; done += 8) {
      const std::uint64_t word = pattern_word(seed, from + done);
      const std::size_t part = std::min<std::size_t>(8, length - done);
      std::uint64_t found = 0;
      std::uint64_t mask = ~std::uint64_t{0};
      if (part == 8) {
        std::memcpy(&found, address + from + done, 8);
      } else {
        std::memcpy(&found, address + from + done, part);
        mask = (std::uint64_t{1} << 8 * part) - 1;
      }
      const std::uint64_t wrong = (found ^ word) & mask;
      if (wrong != 0) {
        mismatch = from + done + static_cast<std::size_t>(__builtin_ctzll(wrong)) / 8;
        return;
      }
    }
  });
  return mismatch;
}

/// The first byte that is not zero, or kNoMismatch. Of more than 16 KiB it looks at what for_each_piece visits.
[[nodiscard]] inline std::size_t find_nonzero(const char* address, std::size_t size,
                                              Pieces pieces = Pieces::each_page) {
  std::size_t mismatch = kNoMismatch;
  const auto look = [&](std::size_t from, std::size_t length) {
    if (mismatch != kNoMismatch || length == 0) return;
    if (address[from] == 0 && std::memcmp(address + from, address + from + 1, length - 1) == 0) return;
    while (address[from] == 0) ++from;
    mismatch = from;
  };
  constexpr std::size_t kWhole = 16384;
  if (size <= kWhole) {
    look(0, size);
  } else {
    for_each_piece(size, pieces, look);
  }
  return mismatch;
}

}  // namespace stave::props
