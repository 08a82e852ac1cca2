// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Size classes and slot arithmetic over their whole domain: every size, every class, every offset, every page size.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "chunk/size_class.hpp"

namespace stave {
namespace {

constexpr std::size_t kPages[] = {4096, 16384, 65536};

TEST(SizeClasses, every_size_has_the_smallest_class_that_holds_it) {
  SizeClass expected = 0;
  for (std::size_t size = 0; size <= kLargestSlot; ++size) {
    while (kSlotSizes[expected] < size) ++expected;
    ASSERT_EQ(size_class_for(size), expected) << size;
  }
  EXPECT_EQ(expected + 1, kSizedClasses);
}

TEST(SizeClasses, ascend_in_multiples_of_16_and_waste_at_most_a_quarter) {
  for (SizeClass cls = 0; cls != kSizedClasses; ++cls) {
    ASSERT_EQ(kSlotSizes[cls] % 16, 0U);
    if (cls == 0) continue;
    ASSERT_GT(kSlotSizes[cls], kSlotSizes[cls - 1]);
    // The worst request of a class is one byte more than the class below; beyond the fine classes a quarter is lost at
    // most.
    const std::size_t worst = kSlotSizes[cls - 1] + 1;
    if (kSlotSizes[cls] > kLargestFineClass) {
      EXPECT_LE(4 * (kSlotSizes[cls] - worst), kSlotSizes[cls]) << kSlotSizes[cls];
    } else {
      EXPECT_LT(kSlotSizes[cls] - worst, 16U);
    }
  }
}

TEST(SizeClasses, a_power_of_two_and_a_canary_never_double) {
  for (std::size_t power = 16; power < kLargestSlot; power *= 2) {
    const std::size_t slot = kSlotSizes[size_class_for(power + 8)];
    EXPECT_LE(slot, power + 16) << power;
  }
}

TEST(ChunkShapes, hold_their_slots_between_the_guards_and_their_words_in_the_header_page) {
  for (const std::size_t page : kPages) {
    for (SizeClass cls = 0; cls != kClassCount; ++cls) {
      const ClassShape shape = class_shape(cls, page);
      SCOPED_TRACE(testing::Message() << "page " << page << ", slots of " << kSlotSizes[cls]);
      ASSERT_EQ(shape.slot_size, kSlotSizes[cls]);
      ASSERT_GE(shape.slot_count, 1U);
      ASSERT_GE(shape.slots_offset, 2 * page) << "header page and guard page come first";
      ASSERT_EQ(shape.slots_offset % page, 0U);
      ASSERT_EQ(shape.slots_bytes, shape.slot_count * kSlotSizes[cls]);
      ASSERT_LE(shape.slots_offset + shape.slots_bytes, shape.chunk_bytes() - page) << "a guard page comes last";
      ASSERT_GE(shape.line_count() * 64, shape.slot_count);
      ASSERT_LT((shape.line_count() - 1) * 64, shape.slot_count);
      ASSERT_GE(shape.colour_count, 1U);
      ASSERT_LE(kHeaderBytes + shape.line_count() * kLine + (shape.colour_count - 1U) * kLine, page)
          << "the header fits wherever its colour puts it";
      ASSERT_EQ(shape.chunk_bytes() % (std::size_t{64} << 10), 0U);
    }
  }
}

TEST(ChunkShapes, use_what_their_size_allows) {
  for (const std::size_t page : kPages) {
    for (SizeClass cls = 0; cls != kClassCount; ++cls) {
      const ClassShape shape = class_shape(cls, page);
      const std::size_t room = shape.chunk_bytes() - 3 * page;
      const bool limited_by_words =
          shape.slot_count == 64 * 64 || (shape.line_count() + 1) * kLine > page - kHeaderBytes;
      EXPECT_TRUE(limited_by_words || room - shape.slots_bytes < kSlotSizes[cls])
          << "page " << page << ", slots of " << kSlotSizes[cls] << ": " << shape.slot_count;
    }
  }
}

/// Every offset into the slots of every class: division by multiplication against division.
TEST(SlotArithmetic, finds_the_slot_of_every_offset) {
  for (const std::size_t page : kPages) {
    for (SizeClass cls = 0; cls != kClassCount; ++cls) {
      const ClassShape shape = class_shape(cls, page);
      std::uint32_t index = 0;
      std::uint32_t inside = 0;
      for (std::uint32_t offset = 0; offset != shape.slots_bytes; ++offset) {
        const SlotIndex found = slot_index(shape.reciprocal, offset);
        if (found.index != index || found.exact != (inside == 0)) {
          FAIL() << "page " << page << ", slots of " << shape.slot_size << ", offset " << offset << ": slot "
                 << found.index << (found.exact ? " exactly" : "");
        }
        if (++inside == shape.slot_size) {
          inside = 0;
          ++index;
        }
      }
      ASSERT_EQ(index, shape.slot_count);
    }
  }
}

}  // namespace
}  // namespace stave
