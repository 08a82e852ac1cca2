// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/slot_line.hpp"

#include <gtest/gtest.h>

#include <set>

namespace stave {
namespace {

constexpr Key kKey{.a = 0x243f6a8885a308d3, .b = 0x13198a2e03707344};

class GuardWord : public testing::Test {
 protected:
  SlotLine lines_[8] = {};
};

TEST_F(GuardWord, changes_with_each_bit_of_live_and_held) {
  for (const std::uint64_t live : {std::uint64_t{0}, std::uint64_t{0x123456789abcdef0}, ~std::uint64_t{0}}) {
    for (const std::uint64_t held : {std::uint64_t{0}, std::uint64_t{0x0f0f0f0f0f0f0f0f}}) {
      std::set<std::uint64_t> seen{guard_word(kKey, lines_, live, held)};
      for (unsigned bit = 0; bit != 64; ++bit) {
        EXPECT_TRUE(seen.insert(guard_word(kKey, lines_, live ^ std::uint64_t{1} << bit, held)).second) << bit;
        EXPECT_TRUE(seen.insert(guard_word(kKey, lines_, live, held ^ std::uint64_t{1} << bit)).second) << bit;
      }
    }
  }
}

TEST_F(GuardWord, changes_with_two_bits_at_once) {
  // A slot that goes from live to held, and any other pair.
  std::set<std::uint64_t> seen{guard_word(kKey, lines_, 0, 0)};
  for (unsigned first = 0; first != 64; ++first) {
    for (unsigned second = 0; second != 64; ++second) {
      const std::uint64_t word = guard_word(kKey, lines_, std::uint64_t{1} << first, std::uint64_t{1} << second);
      EXPECT_TRUE(seen.insert(word).second) << first << " " << second;
    }
  }
}

TEST_F(GuardWord, changes_with_the_address) {
  std::set<std::uint64_t> seen{guard_word(kKey, lines_, 5, 6)};
  for (unsigned bit = 6; bit != 47; ++bit) {
    const auto* const line = reinterpret_cast<const SlotLine*>(address_of(lines_) ^ std::uintptr_t{1} << bit);
    EXPECT_TRUE(seen.insert(guard_word(kKey, line, 5, 6)).second) << bit;
  }
}

TEST_F(GuardWord, changes_with_the_key) {
  std::set<std::uint64_t> seen{guard_word(kKey, lines_, 5, 6)};
  for (unsigned bit = 0; bit != 64; ++bit) {
    EXPECT_TRUE(seen.insert(guard_word({kKey.a ^ std::uint64_t{1} << bit, kKey.b}, lines_, 5, 6)).second);
    EXPECT_TRUE(seen.insert(guard_word({kKey.a, kKey.b ^ std::uint64_t{1} << bit}, lines_, 5, 6)).second);
  }
}

TEST_F(GuardWord, is_not_linear) {
  // With a linear tag the differences of two pairs would be the same, and one leaked pair would forge another.
  const auto tag = [&](std::uint64_t live) { return guard_word(kKey, lines_, live, 0); };
  int same = 0;
  for (unsigned i = 0; i != 60; ++i) {
    const std::uint64_t a = std::uint64_t{1} << i;
    const std::uint64_t b = std::uint64_t{1} << (i + 3);
    if ((tag(0) ^ tag(a)) == (tag(b) ^ tag(a | b))) ++same;
  }
  EXPECT_LE(same, 1);
}

TEST_F(GuardWord, holds_only_for_the_words_it_was_made_of) {
  SlotLine& line = lines_[3];
  line.guard = guard_word(kKey, &line, 0xff, 0xff00);
  EXPECT_TRUE(guard_holds(kKey, &line, 0xff, 0xff00));
  EXPECT_FALSE(guard_holds(kKey, &line, 0xfe, 0xff00));
  EXPECT_FALSE(guard_holds(kKey, &line, 0xff, 0xfe00));
  EXPECT_FALSE(guard_holds(kKey, &line, 0xff00, 0xff));
  lines_[4].guard = line.guard;
  EXPECT_FALSE(guard_holds(kKey, &lines_[4], 0xff, 0xff00)) << "copied to another line";
  line.guard ^= 1;
  EXPECT_FALSE(guard_holds(kKey, &line, 0xff, 0xff00));
}

TEST(SlotLine, is_one_cache_line) {
  EXPECT_EQ(sizeof(SlotLine), 64U);
  EXPECT_EQ(alignof(SlotLine), 64U);
}

}  // namespace
}  // namespace stave
