// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "base/bits.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <set>

namespace stave {
namespace {

TEST(Bits, align_up_is_the_least_multiple_that_is_not_smaller) {
  for (std::size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    for (std::size_t value = 0; value != 3 * alignment + 2; ++value) {
      const std::size_t up = align_up(value, alignment);
      ASSERT_EQ(up % alignment, 0U);
      ASSERT_GE(up, value);
      ASSERT_LT(up - value, alignment) << value << " at " << alignment;
      const std::size_t down = align_down(value, alignment);
      ASSERT_EQ(down % alignment, 0U);
      ASSERT_LE(down, value);
      ASSERT_LT(value - down, alignment);
    }
  }
}

TEST(Bits, align_up_wraps_to_zero_beyond_the_last_multiple) {
  EXPECT_EQ(align_up(SIZE_MAX, 16), 0U);
  EXPECT_EQ(align_up(SIZE_MAX - 15, 16), SIZE_MAX - 15);
  EXPECT_EQ(align_down(SIZE_MAX, 4096), SIZE_MAX - 4095);
}

TEST(Bits, only_powers_of_two_are_powers_of_two) {
  EXPECT_FALSE(is_power_of_two(0));
  std::size_t found = 0;
  for (std::size_t value = 1; value <= 65536; ++value) found += is_power_of_two(value) ? 1 : 0;
  EXPECT_EQ(found, 17U);
  EXPECT_TRUE(is_power_of_two(std::size_t{1} << 63));
}

TEST(Bits, log2_floor_brackets_its_argument) {
  for (unsigned log2 = 0; log2 != 64; ++log2) {
    const std::size_t power = std::size_t{1} << log2;
    EXPECT_EQ(log2_floor(power), log2);
    EXPECT_EQ(log2_floor(power | (power - 1)), log2);
  }
}

TEST(Bits, multiply_says_when_it_overflows) {
  std::size_t product = 0;
  EXPECT_TRUE(multiply(0, SIZE_MAX, &product));
  EXPECT_EQ(product, 0U);
  EXPECT_TRUE(multiply(SIZE_MAX, 1, &product));
  EXPECT_EQ(product, SIZE_MAX);
  EXPECT_TRUE(multiply(std::size_t{1} << 32, (std::size_t{1} << 32) - 1, &product));
  EXPECT_EQ(product, SIZE_MAX - ((std::size_t{1} << 32) - 1));
  EXPECT_FALSE(multiply(std::size_t{1} << 32, std::size_t{1} << 32, &product));
  EXPECT_FALSE(multiply(SIZE_MAX, 2, &product));
}

TEST(Bits, multiply_fold_is_the_two_halves_of_the_product) {
  EXPECT_EQ(multiply_fold(0, ~std::uint64_t{0}), 0U);
  EXPECT_EQ(multiply_fold(3, 5), 15U);
  EXPECT_EQ(multiply_fold(std::uint64_t{1} << 63, 4), 2U);        // 2^65: the high half alone
  EXPECT_EQ(multiply_fold(~std::uint64_t{0}, ~std::uint64_t{0}),  // 2^128 - 2^65 + 1
            (~std::uint64_t{0} - 1) ^ 1);
}

TEST(Bits, multiply_fold_spreads_one_bit_over_the_word) {
  // Not a proof of anything: a slip that loses a half would show as words that hardly change.
  const std::uint64_t a = 0x9e3779b97f4a7c15;
  const std::uint64_t b = 0xd1b54a32d192ed03;
  std::set<std::uint64_t> seen{multiply_fold(a, b)};
  int changed = 0;
  for (unsigned bit = 0; bit != 64; ++bit) {
    const std::uint64_t other = multiply_fold(a ^ std::uint64_t{1} << bit, b);
    changed += std::popcount(other ^ multiply_fold(a, b));
    EXPECT_TRUE(seen.insert(other).second) << "bit " << bit;
  }
  EXPECT_GT(changed, 64 * 20);
  EXPECT_LT(changed, 64 * 44);
}

TEST(Bits, low_bits_are_the_lowest) {
  EXPECT_EQ(low_bits(0), 0U);
  for (unsigned count = 1; count <= 64; ++count) {
    EXPECT_EQ(std::popcount(low_bits(count)), static_cast<int>(count));
    EXPECT_EQ(std::countr_one(low_bits(count)), static_cast<int>(count));
  }
  // More than a word has is the whole word: callers pass what lies beyond the word as well.
  EXPECT_EQ(low_bits(65), ~std::uint64_t{0});
  EXPECT_EQ(low_bits(4096), ~std::uint64_t{0});
}

TEST(Bits, count_bits_counts_with_and_without_an_instruction_for_it) {
  std::uint64_t word = 1;
  for (int i = 0; i != 1000; ++i, word = word * 6364136223846793005U + 1442695040888963407U) {
    for (const std::uint64_t some :
         {word, word >> (i % 64), word & (word >> 7), ~word, low_bits(static_cast<unsigned>(i) % 65)}) {
      ASSERT_EQ(count_bits(some), static_cast<std::uint32_t>(std::popcount(some)));
      ASSERT_EQ(count_bits_baseline(some), static_cast<std::uint32_t>(std::popcount(some)));
    }
  }
  EXPECT_EQ(count_bits(0), 0U);
  EXPECT_EQ(count_bits_baseline(~std::uint64_t{0}), 64U);
}

TEST(Bits, address_of_is_the_number_of_a_pointer) {
  int object = 0;
  EXPECT_EQ(reinterpret_cast<int*>(address_of(&object)), &object);
  EXPECT_EQ(address_of(nullptr), 0U);
}

}  // namespace
}  // namespace stave
