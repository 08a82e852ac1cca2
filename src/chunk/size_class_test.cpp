// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/size_class.hpp"

#include <gtest/gtest.h>

namespace stave {
namespace {

constexpr std::size_t kPages[] = {4096, 16384, 65536};

TEST(SizeClass, is_the_smallest_that_fits_over_the_whole_domain) {
  SizeClass expected = 0;
  for (std::size_t size = 1; size <= kLargestSlot; ++size) {
    if (size > kSlotSizes[expected]) ++expected;
    ASSERT_EQ(size_class_for(size), expected) << size;
  }
  EXPECT_EQ(expected + 1, kSizedClasses);
  EXPECT_EQ(size_class_for(0), size_class_for(1));
}

TEST(SizeClass, sizes_are_multiples_of_the_grain_and_ascend) {
  for (SizeClass cls = 0; cls != kSizedClasses; ++cls) {
    EXPECT_EQ(kSlotSizes[cls] % kGrain, 0U);
    if (cls != 0) {
      EXPECT_GT(kSlotSizes[cls], kSlotSizes[cls - 1]);
    }
  }
  EXPECT_EQ(kSlotSizes[0], kGrain);
  EXPECT_EQ(kSlotSizes[kSizedClasses - 1], kLargestSlot);
}

TEST(SizeClass, wastes_at_most_a_quarter) {
  for (std::size_t size = kLargestFineClass + 1; size <= kLargestSlot; ++size) {
    const std::size_t slot = kSlotSizes[size_class_for(size)];
    ASSERT_LE(4 * (slot - size), slot) << size;
  }
  for (std::size_t size = 1; size <= kLargestFineClass; ++size)
    ASSERT_LT(kSlotSizes[size_class_for(size)] - size, kGrain);
}

TEST(SizeClass, powers_of_two_have_a_class_and_so_have_those_with_a_canary) {
  for (std::size_t power = kGrain; power <= kLargestSlot; power *= 2) {
    EXPECT_EQ(kSlotSizes[size_class_for(power)], power);
    if (power < kLargestSlot) {
      EXPECT_EQ(kSlotSizes[size_class_for(power + 8)], power + kGrain);
    }
  }
}

TEST(ClassShape, parts_of_a_chunk_do_not_overlap) {
  for (const std::size_t page : kPages) {
    for (const ClassShape& shape : class_shapes(page)) {
      ASSERT_GT(shape.slot_count, 0U);
      EXPECT_EQ(shape.slots_offset, 2 * page) << "header page, guard page";
      EXPECT_EQ(shape.slots_bytes, shape.slot_count * shape.slot_size);
      EXPECT_LE(shape.slots_offset + shape.slots_bytes + page, shape.chunk_bytes()) << "a guard page at the end";
      ASSERT_GT(shape.colour_count, 0U);
      EXPECT_LE(shape.colour_count, 64U) << "the registry keeps a colour in 6 bits";
      EXPECT_LE((shape.colour_count - 1U) * kLine + kHeaderBytes + shape.line_count() * kLine, page)
          << "the header leaves its page";
      EXPECT_LE(shape.units_log2, kLargestUnitsLog2);
      EXPECT_LE(shape.line_count(), 64U) << "pending has a bit for each";
    }
  }
}

TEST(ClassShape, a_chunk_is_as_full_as_it_can_be) {
  for (const std::size_t page : kPages) {
    for (const ClassShape& shape : class_shapes(page)) {
      const std::size_t rest = shape.chunk_bytes() - shape.slots_offset - page - shape.slots_bytes;
      const std::size_t most = (page - kHeaderBytes) / kLine * 64;
      EXPECT_TRUE(rest < shape.slot_size || shape.slot_count == (most < 4096 ? most : 4096)) << shape.slot_size;
    }
  }
}

TEST(ClassShape, has_few_slots_only_where_a_chunk_cannot_grow) {
  for (const std::size_t page : kPages) {
    for (const ClassShape& shape : class_shapes(page)) {
      EXPECT_TRUE(shape.slot_count >= fewest_slots(shape.slot_size) || shape.units_log2 == kLargestUnitsLog2)
          << shape.slot_size;
      if (shape.units_log2 == 0) continue;
      // No larger than needed: half of the chunk would hold too few.
      const std::size_t half = shape.chunk_bytes() / 2;
      EXPECT_TRUE(half <= 3 * page || (half - 3 * page) / shape.slot_size < fewest_slots(shape.slot_size))
          << shape.slot_size;
    }
  }
}

TEST(ClassShape, small_chunks_are_one_unit_on_small_pages) {
  const ClassShapes shapes = class_shapes(4096);
  for (SizeClass cls = 0; kSlotSizes[cls] <= 528; ++cls) EXPECT_EQ(shapes[cls].units_log2, 0U) << kSlotSizes[cls];
}

TEST(SlotIndex, is_exact_over_the_whole_domain) {
  for (const std::size_t page : kPages) {
    for (const ClassShape& shape : class_shapes(page)) {
      std::uint32_t index = 0;
      std::uint32_t start = 0;
      for (std::uint32_t offset = 0; offset != shape.slots_bytes; ++offset) {
        if (offset - start == shape.slot_size) ++index, start = offset;
        const SlotIndex slot = slot_index(shape.reciprocal, offset);
        if (slot.index != index || slot.exact != (offset == start)) {  // an ASSERT for each of 10^8 takes too long
          FAIL() << "offset " << offset << " of slots of " << shape.slot_size << " is in slot " << index << ", not "
                 << slot.index;
        }
      }
      ASSERT_EQ(index + 1, shape.slot_count);
    }
  }
}

}  // namespace
}  // namespace stave
