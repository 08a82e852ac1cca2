// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Whether memory is zero: the C library has no function for this.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/attributes.hpp"

namespace stave {

/// Of vector instructions.
enum class Vectors : std::uint8_t {
  narrow,  ///< what every processor of the architecture has: 16 bytes
  wide,    ///< 32 bytes (AVX2)
};

/// What this processor has at most.
[[nodiscard]] inline Vectors vectors_here() {
#if defined(__x86_64__)
  __builtin_cpu_init();  // this may run before the constructor that does it
  return __builtin_cpu_supports("avx2") ? Vectors::wide : Vectors::narrow;
#else
  return Vectors::narrow;
#endif
}

/// What is looked at at once.
inline constexpr std::size_t kZeroBlock = 128;

namespace detail {

// The last block of a range overlaps the one before it where the range is not a multiple of a block.

using Narrow [[gnu::vector_size(16), gnu::may_alias]] = std::uint64_t;

STAVE_FAST bool block_is_zero(const char* block) {
  const auto* grains = reinterpret_cast<const Narrow*>(block);
  const Narrow all =
      ((grains[0] | grains[1]) | (grains[2] | grains[3])) | ((grains[4] | grains[5]) | (grains[6] | grains[7]));
  return (all[0] | all[1]) == 0;
}

STAVE_SLOW inline bool is_zero_narrow(const char* start, std::size_t bytes) {
  const char* const last = start + bytes - kZeroBlock;
  for (; start < last; start += kZeroBlock) {
    if (!block_is_zero(start)) return false;
  }
  return block_is_zero(last);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] STAVE_FAST bool block_is_zero_wide(const char* block) {
  const __m256i_u* const grains = reinterpret_cast<const __m256i_u*>(block);  // `auto` would forget the u
  const __m256i all = (grains[0] | grains[1]) | (grains[2] | grains[3]);
  return _mm256_testz_si256(all, all) != 0;
}

[[gnu::target("avx2")]] STAVE_SLOW inline bool is_zero_wide(const char* start, std::size_t bytes) {
  const char* const last = start + bytes - kZeroBlock;
  for (; start < last; start += kZeroBlock) {
    if (!block_is_zero_wide(start)) return false;
  }
  return block_is_zero_wide(last);
}
#endif

}  // namespace detail

/// Whether a range of any length is zero. `bytes`: a multiple of 16.
STAVE_FAST bool is_zero(const void* start, std::size_t bytes, Vectors vectors) {
  const auto* const first = static_cast<const char*>(start);
  if (bytes >= kZeroBlock) {
#if defined(__x86_64__)
    if (vectors == Vectors::wide) return detail::is_zero_wide(first, bytes);
#endif
    return detail::is_zero_narrow(first, bytes);
  }
  detail::Narrow all{};
  for (std::size_t at = 0; at != bytes; at += sizeof all) all |= *reinterpret_cast<const detail::Narrow*>(first + at);
  return (all[0] | all[1]) == 0;
}

}  // namespace stave
