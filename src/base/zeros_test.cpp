// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "base/zeros.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace stave {
namespace {

struct IsZero : testing::TestWithParam<Vectors> {
  void SetUp() override {
    if (GetParam() > vectors_here()) GTEST_SKIP() << "this processor has no such vectors";
  }
};

TEST_P(IsZero, sees_each_byte_and_none_around) {
  alignas(16) unsigned char memory[16 + 4 * kZeroBlock + 16];
  for (std::size_t bytes = 0; bytes <= 4 * kZeroBlock; bytes += 16) {
    std::fill(std::begin(memory), std::end(memory), 0xff);
    unsigned char* const start = memory + 16;
    std::fill_n(start, bytes, 0);
    EXPECT_TRUE(is_zero(start, bytes, GetParam())) << bytes;
    for (std::size_t at = 0; at != bytes; ++at) {
      start[at] = 0x80;
      EXPECT_FALSE(is_zero(start, bytes, GetParam())) << at << " of " << bytes;
      start[at] = 0;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(With, IsZero, testing::Values(Vectors::narrow, Vectors::wide),
                         [](const auto& vectors) { return vectors.param == Vectors::wide ? "wide" : "narrow"; });

}  // namespace
}  // namespace stave
