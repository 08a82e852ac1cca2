// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/entropy.hpp"

#include <gtest/gtest.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <set>

#include "base/test_child.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

TEST(Entropy, fills_exactly_what_was_asked_for) {
  for (const std::size_t bytes : Sizes{1, 7, 8, 32, 255, 256}) {
    unsigned union_of_bits = 0;
    std::array<unsigned char, 300> buffer{};
    std::array<unsigned char, 300> changed{};
    for (int turn = 0; turn != 20; ++turn) {
      buffer.fill(0);
      ASSERT_TRUE(read_entropy(buffer.data() + 8, bytes));
      for (std::size_t i = 0; i != buffer.size(); ++i) changed[i] = static_cast<unsigned char>(changed[i] | buffer[i]);
    }
    for (std::size_t i = 0; i != buffer.size(); ++i) {
      const bool inside = i >= 8 && i < 8 + bytes;
      EXPECT_EQ(changed[i] != 0, inside) << i << " of " << bytes;
      union_of_bits |= changed[i];
    }
    EXPECT_NE(union_of_bits, 0U);
  }
}

TEST(Entropy, does_not_repeat_itself) {
  std::set<std::array<unsigned char, 32>> seen;
  int ones = 0;
  for (int turn = 0; turn != 100; ++turn) {
    std::array<unsigned char, 32> bytes{};
    ASSERT_TRUE(read_entropy(bytes.data(), bytes.size()));
    EXPECT_TRUE(seen.insert(bytes).second);
    for (const unsigned char byte : bytes) ones += std::popcount(byte);
  }
  EXPECT_GT(ones, 100 * 128 - 800);  // 10 standard deviations
  EXPECT_LT(ones, 100 * 128 + 800);
}

TEST(Entropy, falls_back_on_what_the_kernel_gave_at_start) {
  const int end = test::child_end([] {
    if (!test::answer_call(SYS_getrandom, EPERM)) _exit(9);
    unsigned char bytes[32] = {};
    if (!read_entropy(bytes, sizeof bytes)) _exit(1);
    const auto* const start = reinterpret_cast<const unsigned char*>(getauxval(AT_RANDOM));
    if (std::memcmp(bytes, start, 16) != 0) _exit(2);
    if (std::memcmp(bytes + 16, start, 16) != 0) _exit(3);
  });
  if (end == 9) GTEST_SKIP() << "seccomp is not to be had";
  EXPECT_EQ(end, test::kSurvived);
}

TEST(Entropy, keeps_errno) {
  unsigned char bytes[16];
  errno = E2BIG;
  ASSERT_TRUE(read_entropy(bytes, sizeof bytes));
  EXPECT_EQ(errno, E2BIG);
}

}  // namespace
}  // namespace stave
