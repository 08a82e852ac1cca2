// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The words of 64 slots: what the guard word notices, and the arithmetic of bits.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cstdint>
#include <memory>

#include "base/bits.hpp"
#include "chunk/slot_line.hpp"

namespace stave {
namespace {

/// Keys are random words: RapidCheck's own start with small ones, and with zero nothing is keyed.
Key any_key() {
  const auto word = rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<std::uint64_t>());
  return Key{*word, *word};
}

/// Words as they are in a heap: sparse, dense, and everything between.
rc::Gen<std::uint64_t> any_word() {
  return rc::gen::oneOf(
      rc::gen::arbitrary<std::uint64_t>(),
      rc::gen::map(rc::gen::inRange(0, 64), [](int bit) { return std::uint64_t{1} << bit; }),
      rc::gen::map(rc::gen::inRange(0, 65), [](int n) { return low_bits(static_cast<unsigned>(n)); }),
      rc::gen::map(rc::gen::inRange(0, 65), [](int n) { return ~low_bits(static_cast<unsigned>(n)); }));
}

RC_GTEST_PROP(GuardWord, holds_for_what_it_was_made_of, ()) {
  const Key key = any_key();
  const auto line = std::make_unique<SlotLine>();
  const std::uint64_t live = *any_word();
  const std::uint64_t held = *any_word() & ~live;
  line->guard = guard_word(key, line.get(), live, held);
  RC_ASSERT(guard_holds(key, line.get(), live, held));
}

RC_GTEST_PROP(GuardWord, notices_every_single_bit, ()) {
  const Key key = any_key();
  const auto line = std::make_unique<SlotLine>();
  const std::uint64_t live = *any_word();
  const std::uint64_t held = *any_word() & ~live;
  line->guard = guard_word(key, line.get(), live, held);
  for (unsigned bit = 0; bit < 64; ++bit) {
    const std::uint64_t one = std::uint64_t{1} << bit;
    RC_ASSERT_FALSE(guard_holds(key, line.get(), live ^ one, held));
    RC_ASSERT_FALSE(guard_holds(key, line.get(), live, held ^ one));
    RC_ASSERT_FALSE(guard_holds(key, line.get(), live ^ one, held ^ one));
  }
}

RC_GTEST_PROP(GuardWord, is_tied_to_its_place, ()) {
  const Key key = any_key();
  const auto lines = std::make_unique<SlotLine[]>(2);
  const std::uint64_t live = *any_word();
  const std::uint64_t held = *any_word();
  RC_ASSERT(guard_word(key, &lines[0], live, held) != guard_word(key, &lines[1], live, held));
}

RC_GTEST_PROP(Bits, low_bits_and_counts_are_those_of_the_standard_library, ()) {
  const std::uint64_t word = *any_word();
  RC_ASSERT(count_bits(word) == static_cast<std::uint32_t>(std::popcount(word)));
  const auto n = *rc::gen::inRange<unsigned>(0, 65);
  RC_ASSERT(count_bits(low_bits(n)) == n);
  RC_ASSERT((low_bits(n) & (low_bits(n) + 1)) == 0U);
}

RC_GTEST_PROP(Bits, multiplication_says_when_it_wraps, ()) {
  const auto a = *rc::gen::map(any_word(), [](std::uint64_t w) { return static_cast<std::size_t>(w); });
  const auto b = *rc::gen::map(any_word(), [](std::uint64_t w) { return static_cast<std::size_t>(w); });
  std::size_t product = 0;
  const bool fits = multiply(a, b, &product);
  RC_ASSERT(fits == (a == 0 || b <= SIZE_MAX / a));
  if (fits) RC_ASSERT(product == a * b);
}

RC_GTEST_PROP(Bits, rounding_finds_the_nearest_multiples, ()) {
  const std::size_t alignment = std::size_t{1} << *rc::gen::inRange(0, 40);
  const std::size_t value = *rc::gen::arbitrary<std::size_t>() >> 2;
  const std::size_t up = align_up(value, alignment);
  const std::size_t down = align_down(value, alignment);
  RC_ASSERT(up % alignment == 0U);
  RC_ASSERT(down % alignment == 0U);
  RC_ASSERT(down <= value);
  RC_ASSERT(value <= up);
  RC_ASSERT(up - down == (value % alignment == 0 ? 0 : alignment));
}

}  // namespace
}  // namespace stave
