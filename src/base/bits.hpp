// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Arithmetic that the language lacks. All of it constexpr; nothing here knows what an allocator is.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace stave {

__extension__ using Uint128 = unsigned __int128;

[[nodiscard]] constexpr bool is_power_of_two(std::size_t value) { return std::has_single_bit(value); }

/// `value` rounded up to a multiple of `alignment`, a power of two. Wraps around on overflow: check first.
[[nodiscard]] constexpr std::size_t align_up(std::size_t value, std::size_t alignment) {
  return (value + (alignment - 1)) & ~(alignment - 1);
}

[[nodiscard]] constexpr std::size_t align_down(std::size_t value, std::size_t alignment) {
  return value & ~(alignment - 1);
}

/// floor(log2(value)), for value != 0.
[[nodiscard]] constexpr unsigned log2_floor(std::size_t value) {
  return static_cast<unsigned>(std::bit_width(value) - 1);
}

/// a * b in `*product`; false if that overflows.
[[nodiscard]] constexpr bool multiply(std::size_t a, std::size_t b, std::size_t* product) {
  return !__builtin_mul_overflow(a, b, product);
}

/// The 128-bit product of two words, folded. Keyed by adding secrets to the operands, it is the non-linear mixer of
/// our tags (wyhash's `mum`, by Wang Yi).
[[nodiscard]] constexpr std::uint64_t multiply_fold(std::uint64_t a, std::uint64_t b) {
  const Uint128 product = static_cast<Uint128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// Only the lowest `count` bits set; count may be 0 to 64.
[[nodiscard]] constexpr std::uint64_t low_bits(unsigned count) {
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

/// Single bits, by their number. pre: bit < 64
[[nodiscard]] constexpr bool has_bit(std::uint64_t word, std::uint64_t bit) { return (word >> bit & 1) != 0; }
[[nodiscard]] constexpr std::uint64_t with_bit(std::uint64_t word, std::uint64_t bit) {
  return word | std::uint64_t{1} << bit;
}
[[nodiscard]] constexpr std::uint64_t without_bit(std::uint64_t word, std::uint64_t bit) {
  return word & ~(std::uint64_t{1} << bit);
}

/// The number of bits set, in a dozen instructions: the compiler's own fallback is a call.
[[nodiscard]] constexpr std::uint32_t count_bits_baseline(std::uint64_t word) {
  word -= word >> 1 & 0x5555555555555555;
  word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
  word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return static_cast<std::uint32_t>(word * 0x0101010101010101 >> 56);
}

/// The same. Baseline x86-64 has no instruction for it, every processor of today has: hence the question.
[[nodiscard]] inline std::uint32_t count_bits(std::uint64_t word) {
#if defined(__POPCNT__) || defined(__aarch64__)
  return static_cast<std::uint32_t>(__builtin_popcountll(word));
#else
#if defined(__x86_64__)
  if (__builtin_cpu_supports("popcnt")) [[likely]] {
    std::uint64_t count = 0;
    __asm__("popcnt %1, %0" : "=r"(count) : "rm"(word) : "cc");
    return static_cast<std::uint32_t>(count);
  }
#endif
  return count_bits_baseline(word);
#endif
}

[[nodiscard]] inline std::uintptr_t address_of(const volatile void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

}  // namespace stave
