// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Everything that asks for a size before it changes something.
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "heap/test_instance.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

using test::Place;
using test::TestHeap;

void fill(void* pointer, std::size_t bytes, unsigned salt) {
  auto* const block = static_cast<unsigned char*>(pointer);
  for (std::size_t i = 0; i != bytes; ++i) block[i] = static_cast<unsigned char>((i * 7 + salt) >> 2);
}
bool is_filled(const void* pointer, std::size_t bytes, unsigned salt) {
  const auto* const block = static_cast<const unsigned char*>(pointer);
  for (std::size_t i = 0; i != bytes; ++i) {
    if (block[i] != static_cast<unsigned char>((i * 7 + salt) >> 2)) return false;
  }
  return true;
}

/// One below, on and above each class border, and beyond.
std::vector<std::size_t> borders() {
  std::vector<std::size_t> sizes{1, 2, 15};
  for (const std::uint32_t slot : kSlotSizes) {
    for (const std::size_t size : {slot - 1UL, slot + 0UL, slot + 1UL}) sizes.push_back(size);
  }
  for (const std::size_t size : {300'000UL, 1UL << 20, (1UL << 20) + 1}) sizes.push_back(size);
  return sizes;
}

TEST(UsableSize, is_the_slot_of_the_smallest_class_without_its_canary_and_all_of_it_may_be_written) {
  TestHeap heap({.units = 16384});
  std::vector<std::pair<void*, std::size_t>> all;
  unsigned salt = 0;
  for (const std::size_t size : borders()) {
    void* const pointer = heap.allocate(0, size);
    ASSERT_NE(pointer, nullptr);
    const std::size_t usable = heap.usable_size(pointer);
    if (size <= kLargestSlot) {
      EXPECT_EQ(usable, heap.usable_for(size));
    } else {
      EXPECT_EQ(usable, align_up(size, page_size()));
    }
    EXPECT_EQ(address_of(pointer) % kGrain, 0U);
    fill(pointer, usable, salt++);
    all.emplace_back(pointer, usable);
  }
  salt = 0;
  for (const auto& [pointer, usable] : all) EXPECT_TRUE(is_filled(pointer, usable, salt++));
  EXPECT_STREQ(heap.verify(), "");
}

TEST(Allocate, zero_bytes_are_an_allocation_of_their_own) {
  TestHeap heap;
  void* const a = heap.allocate(0, 0);
  void* const b = heap.allocate(0, 0);
  EXPECT_NE(a, nullptr);
  EXPECT_NE(a, b);
  EXPECT_EQ(heap.stats().live_allocations, 2U);
  EXPECT_NE(heap.allocate_zeroed(0, 0, 8), nullptr);
  EXPECT_NE(heap.allocate_aligned(0, 64, 0), nullptr);
  EXPECT_NE(heap.allocate_aligned(0, 1 << 20, 0), nullptr);
}

TEST(Reallocate, keeps_contents_over_every_class_border_in_both_directions) {
  TestHeap heap({.units = 16384});
  std::vector<std::size_t> sizes = borders();
  for (const bool up : {true, false}) {
    std::sort(sizes.begin(), sizes.end());
    if (!up) std::reverse(sizes.begin(), sizes.end());
    void* pointer = nullptr;
    std::size_t filled = 0;
    for (const std::size_t size : sizes) {
      void* const moved = pointer == nullptr ? heap.allocate(0, size) : heap.reallocate(0, pointer, size);
      ASSERT_NE(moved, nullptr);
      ASSERT_TRUE(is_filled(moved, std::min(filled, size), 3)) << size;
      ASSERT_GE(heap.usable_size(moved), size);
      ASSERT_EQ(heap.stats().live_allocations, 1U);
      fill(moved, size, 3);
      filled = size;
      pointer = moved;
    }
    heap.deallocate(0, pointer);
    ASSERT_STREQ(heap.verify(), "");
  }
}

TEST(Reallocate, between_all_pairs_of_some_sizes) {
  TestHeap heap({.units = 16384});
  const std::size_t sizes[] = {1,        16, 17, 256, 257, 4096, 5000, 65'536, 70'000, kLargestSlot, kLargestSlot + 1,
                               1'000'000};
  for (const std::size_t from : sizes) {
    for (const std::size_t to : sizes) {
      for (const unsigned thread : {0U, 1U}) {  // by its owner, and by another
        void* const pointer = heap.allocate(0, from);
        fill(pointer, from, 9);
        void* const moved = heap.reallocate(thread, pointer, to);
        ASSERT_NE(moved, nullptr);
        ASSERT_TRUE(is_filled(moved, std::min(from, to), 9)) << from << " to " << to;
        heap.deallocate(thread, moved);
      }
    }
  }
  EXPECT_EQ(heap.stats().live_allocations, 0U);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(Reallocate, stays_where_it_is_when_it_fits_well) {
  TestHeap heap;
  for (const std::size_t size : Sizes{100, 5000, 300'000}) {
    void* const pointer = heap.allocate(0, size);
    const std::size_t usable = heap.usable_size(pointer);
    EXPECT_EQ(heap.reallocate(0, pointer, usable), pointer);
    EXPECT_EQ(heap.reallocate(0, pointer, usable - 1), pointer);
    EXPECT_EQ(heap.reallocate(0, pointer, size * 3 / 4), pointer);
    void* const smaller = heap.reallocate(0, pointer, size / 8);
    EXPECT_NE(smaller, pointer) << "half of the slot would be wasted";
    EXPECT_LT(heap.usable_size(smaller), usable);
  }
}

TEST(Reallocate, that_cannot_be_leaves_the_block_alone) {
  TestHeap heap({.units = 128});
  for (const std::size_t size : Sizes{100, 20'000, 300'000}) {
    void* const pointer = heap.allocate(0, size);
    fill(pointer, size, 5);
    for (const std::size_t huge :
         {std::size_t{1} << 30, std::size_t{PTRDIFF_MAX}, std::size_t{PTRDIFF_MAX} + 1, SIZE_MAX}) {
      EXPECT_EQ(heap.reallocate(0, pointer, huge), nullptr);
    }
    EXPECT_TRUE(is_filled(pointer, size, 5));
    EXPECT_GE(heap.usable_size(pointer), size);
    heap.deallocate(0, pointer);
  }
  EXPECT_STREQ(heap.verify(), "");
}

TEST(Reallocate, of_what_is_no_allocation_dies_by_name) {
  const auto death = [](std::size_t size, auto misuse) {
    TestHeap heap;
    auto* const pointer = static_cast<char*>(heap.allocate(0, size));
    (void)heap.allocate(0, size);
    return std::string(heap.death_of([&] { misuse(heap, pointer); }));
  };
  static char foreign[64];
  for (const std::size_t size : Sizes{100, 20'000, 300'000}) {
    for (const std::size_t to : {std::size_t{10}, size, 4 * size}) {
      EXPECT_EQ(death(size, [&](TestHeap& heap, char* p) { heap.deallocate(0, p), (void)heap.reallocate(0, p, to); }),
                "freed-pointer");
      EXPECT_EQ(death(size, [&](TestHeap& heap, char* p) { heap.deallocate(1, p), (void)heap.reallocate(0, p, to); }),
                "freed-pointer");
      EXPECT_EQ(death(size, [&](TestHeap& heap, char* p) { (void)heap.reallocate(0, p + 16, to); }),
                "interior-pointer");
      EXPECT_EQ(death(size, [&](TestHeap& heap, char* p) { (void)heap.reallocate(0, p + 1, to); }),
                "misaligned-pointer");
      EXPECT_EQ(death(size, [&](TestHeap& heap, char*) { (void)heap.reallocate(0, foreign, to); }), "foreign-pointer");
    }
  }
}

TEST(Free, of_what_is_no_allocation_dies_by_name) {
  const auto death = [](std::size_t size, auto misuse) {
    TestHeap heap;
    auto* const pointer = static_cast<char*>(heap.allocate(0, size));
    const char* const id = heap.death_of([&] { misuse(heap, pointer); });
    return std::string(id);
  };
  static char foreign[64];
  for (const std::size_t size : Sizes{100, 20'000}) {
    for (const unsigned thread : {0U, 1U}) {
      EXPECT_EQ(death(size, [&](TestHeap& heap, char* p) { heap.deallocate(thread, p + 8); }), "interior-pointer");
      EXPECT_EQ(death(size, [&](TestHeap& heap, char* p) { heap.deallocate(thread, p + 3); }), "misaligned-pointer");
      EXPECT_EQ(death(size, [&](TestHeap& heap, char*) { heap.deallocate(thread, foreign); }), "foreign-pointer");
      EXPECT_EQ(death(size, [&](TestHeap& heap, char*) { heap.deallocate(thread, reinterpret_cast<void*>(16)); }),
                "foreign-pointer");
      EXPECT_EQ(death(size, [&](TestHeap& heap,
                                char*) { heap.deallocate(thread, reinterpret_cast<void*>(~std::uintptr_t{15})); }),
                "foreign-pointer");
      EXPECT_EQ(death(size, [&](TestHeap& heap, char* p) { heap.deallocate(thread, heap.place_of(p).chunk); }),
                "interior-pointer")
          << "a header";
      EXPECT_EQ(death(size,
                      [&](TestHeap& heap, char* p) {
                        const test::Place place = heap.place_of(p);
                        heap.deallocate(thread,
                                        heap.slot_of(place, heap.constants().shapes[place.cls].slot_count - 1U));
                      }),
                "never-allocated");
      EXPECT_EQ(death(size,
                      [&](TestHeap& heap, char* p) {
                        const test::Place place = heap.place_of(p);
                        const std::uint64_t free = heap.heap(0).cursors[place.cls].offered();
                        heap.deallocate(thread,
                                        heap.slot_of(place, place.line_index * 64 +
                                                                static_cast<std::uint32_t>(std::countr_zero(free))));
                      }),
                "double-free")
          << "a slot that is free";
      EXPECT_EQ(death(size,
                      [&](TestHeap& heap, char* p) {
                        const test::Place place = heap.place_of(p);
                        heap.deallocate(thread, static_cast<char*>(heap.slot_of(
                                                    place, heap.constants().shapes[place.cls].slot_count)));
                      }),
                "interior-pointer")
          << "behind the last slot";
    }
  }
}

/// calloc of what is dirty, of slots and large blocks.
void expect_zeroed(const Options& options) {
  TestHeap heap({.options = options});
  for (const std::size_t size : Sizes{1, 100, 1000, 20'000, 262'144, 300'000}) {
    for (int round = 0; round != 30; ++round) {
      void* const dirty = heap.allocate(0, size);
      std::memset(dirty, 0xff, heap.usable_size(dirty));
      heap.deallocate(0, dirty);
      const auto* const clean = static_cast<unsigned char*>(heap.allocate_zeroed(0, size, 1));
      ASSERT_NE(clean, nullptr);
      for (std::size_t at = 0; at != size; ++at) ASSERT_EQ(clean[at], 0) << size << " round " << round;
      std::memset(const_cast<unsigned char*>(clean), 0xff, size);
      heap.deallocate(0, const_cast<unsigned char*>(clean));
    }
  }
}

TEST(AllocateZeroed, is_zero_whatever_lay_there) {
  for (const Profile profile : test::kAllProfiles) {
    Options options = options_of(profile);
    for (const unsigned zero_on_free : {0U, 1U}) {
      options.zero_on_free = zero_on_free;
      expect_zeroed(options);
    }
  }
}

TEST(AllocateZeroed, refuses_what_overflows) {
  TestHeap heap;
  for (const auto& [count, size] :
       std::initializer_list<std::pair<std::size_t, std::size_t>>{{SIZE_MAX, 2},
                                                                  {2, SIZE_MAX},
                                                                  {std::size_t{1} << 32, std::size_t{1} << 32},
                                                                  {SIZE_MAX / 16 + 2, 16},
                                                                  {3, SIZE_MAX / 2}}) {
    EXPECT_EQ(heap.allocate_zeroed(0, count, size), nullptr);
  }
  EXPECT_NE(heap.allocate_zeroed(0, SIZE_MAX, 0), nullptr);
}

TEST(AllocateAligned, gives_every_power_of_two_with_every_kind_of_size) {
  TestHeap heap({.units = 16384});
  for (std::size_t alignment = 1; alignment <= std::size_t{4} << 20; alignment *= 2) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{24}, std::size_t{100}, std::size_t{4000},
                                   std::size_t{5000}, std::size_t{60'000}, kLargestSlot, kLargestSlot + 1}) {
      void* blocks[3];
      for (void*& block : blocks) {
        block = heap.allocate_aligned(0, alignment, size);
        ASSERT_NE(block, nullptr) << alignment << " " << size;
        ASSERT_EQ(address_of(block) % alignment, 0U) << size;
        ASSERT_GE(heap.usable_size(block), size);
        fill(block, size, 1);
      }
      for (void* const block : blocks) {
        ASSERT_TRUE(is_filled(block, size, 1));
        heap.deallocate(0, block);
      }
    }
    (void)heap.trim(0);
    ASSERT_STREQ(heap.verify(), "");
  }
}

TEST(AllocateAligned, takes_a_slot_where_one_will_do) {
  TestHeap heap;
  for (std::size_t alignment = 32; alignment <= page_size(); alignment *= 2) {
    EXPECT_TRUE(heap.entry(heap.allocate_aligned(0, alignment, 100)).is_chunk()) << alignment;
  }
}

TEST(BoundsOf, knows_the_slot_around_any_address) {
  TestHeap heap;
  for (const std::size_t size : Sizes{1, 100, 20'000, 262'144}) {
    auto* const block = static_cast<char*>(heap.allocate(0, size));
    const std::size_t usable = heap.usable_size(block);
    for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, usable / 2, usable - 1}) {
      void* start = nullptr;
      std::size_t bytes = 0;
      ASSERT_TRUE(heap.allocator().bounds_of(block + offset, &start, &bytes));
      EXPECT_EQ(start, block);
      EXPECT_EQ(bytes, usable);
    }
    heap.deallocate(1, block);
    void* start = &heap;
    std::size_t bytes = 1;
    EXPECT_FALSE(heap.allocator().bounds_of(block, &start, &bytes)) << "freed, not collected";
    EXPECT_EQ(start, &heap);
    EXPECT_EQ(bytes, 1U);
  }
}

TEST(BoundsOf, knows_nothing_of_other_addresses_and_reads_none) {
  TestHeap heap;
  auto* const block = static_cast<char*>(heap.allocate(0, 100));
  Chunk* const chunk = heap.place_of(block).chunk;
  void* start = nullptr;
  std::size_t bytes = 0;
  EXPECT_FALSE(heap.allocator().bounds_of(chunk, &start, &bytes));
  EXPECT_FALSE(heap.allocator().bounds_of(chunk->start() + page_size(), &start, &bytes)) << "its guard page";
  EXPECT_FALSE(heap.allocator().bounds_of(chunk->start() + kUnit - 1, &start, &bytes));
  EXPECT_FALSE(heap.allocator().bounds_of(&heap, &start, &bytes));
  for (unsigned bit = 0; bit != 64; ++bit) {
    EXPECT_FALSE(heap.allocator().bounds_of(reinterpret_cast<void*>(std::uintptr_t{1} << bit), &start, &bytes));
  }
  EXPECT_FALSE(heap.allocator().bounds_of(nullptr, &start, &bytes));
}

std::size_t room_at(TestHeap& heap, const void* address) {
  return heap.allocator().room_at(address, heap.entry(address));
}

TEST(RoomAt, reaches_to_the_end_that_usable_size_tells) {
  for (const Profile profile : {Profile::light, Profile::standard, Profile::strict, Profile::fuzz}) {
    TestHeap heap({.options = options_of(profile)});
    for (const std::size_t size : Sizes{1, 24, 100, 20'000, 262'000, 1'000'000}) {
      auto* const block = static_cast<char*>(heap.allocate(0, size));
      const std::size_t usable = heap.usable_size(block);
      for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, usable / 2, usable - 1}) {
        EXPECT_EQ(room_at(heap, block + offset), usable - offset) << size;
      }
      EXPECT_EQ(room_at(heap, block + usable), 0U) << "a canary, another slot, or a guard page";
      heap.deallocate(0, block);
    }
  }
}

TEST(RoomAt, is_none_where_no_allocation_is_live) {
  for (const unsigned freer : {0U, 1U}) {
    TestHeap heap;
    for (const std::size_t size : Sizes{1, 100, 20'000, 262'000, 1'000'000}) {
      auto* const block = static_cast<char*>(heap.allocate(0, size));
      auto* const kept = heap.allocate(0, size);
      heap.deallocate(freer, block);
      EXPECT_EQ(room_at(heap, block), 0U);
      EXPECT_EQ(room_at(heap, block + size - 1), 0U);
      heap.deallocate(freer, kept);
      (void)heap.trim(0);
      EXPECT_TRUE(heap.entry(block).kind() != UnitKind::chunk) << "empty, and vacant now";
      EXPECT_EQ(heap.entry(block).kind() == UnitKind::none ? 0 : room_at(heap, block), 0U);
    }
    auto* const block = static_cast<char*>(heap.allocate(0, 100));
    Chunk* const chunk = heap.place_of(block).chunk;
    for (const std::size_t offset : {std::size_t{0}, page_size(), kUnit - 1}) {
      EXPECT_EQ(room_at(heap, chunk->start() + offset), 0U) << "header page, guard pages";
    }
    const ClassShape& shape = heap.constants().shapes[heap.place_of(block).cls];
    EXPECT_EQ(room_at(heap, heap.slot_of(heap.place_of(block), shape.slot_count - 1U)), 0U) << "never used";
  }
}

TEST(RoomAt, is_not_known_while_the_record_of_a_large_block_changes) {
  TestHeap heap;
  auto* const block = static_cast<char*>(heap.allocate(0, 1'000'000));
  const RegistryEntry entry = heap.entry(block);
  LargeRecord& record = *heap.allocator().large.find_live(block, entry, Fault::internal);
  const std::size_t usable = record.usable;
  record.usable *= 2;  // the seal follows
  EXPECT_EQ(room_at(heap, block), kNoBound);
  void* start = nullptr;
  std::size_t size = 0;
  EXPECT_FALSE(heap.allocator().bounds_of(block, &start, &size));
  record.usable = usable;
  EXPECT_EQ(room_at(heap, block), usable);
  for (const std::uint32_t number : {0U, entry.record() + 1, 300U, (1U << 29) - 1}) {
    EXPECT_EQ(heap.allocator().room_at(block, RegistryEntry::of_large(number)), kNoBound) << number;
  }
}

TEST(RoomAt, needs_no_lock) {
  TestHeap heap;
  auto* const small = static_cast<char*>(heap.allocate(0, 100));
  auto* const large = static_cast<char*>(heap.allocate(0, 1'000'000));
  const ArenaLocked<InstanceStorage> locked(heap.arena(), heap.constants());
  EXPECT_GE(room_at(heap, small), 100U);
  EXPECT_GE(room_at(heap, large), 1'000'000U);
}

TEST(DieOfAccess, says_what_is_known) {
  const auto report = [](TestHeap& heap, const char* address, std::size_t bytes) {
    return heap.fault_of([&] {
      heap.allocator().die_of_access({.function = "memcpy", .kind = "write", .address = address, .bytes = bytes});
    });
  };
  for (const std::size_t size : Sizes{100, 20'000, 1'000'000}) {
    TestHeap heap;
    auto* const block = static_cast<char*>(heap.allocate(0, size));
    void* const kept = heap.allocate(0, size);
    const std::size_t usable = heap.usable_size(block);
    const auto beyond = report(heap, block + 8, usable);
    ASSERT_TRUE(beyond);
    EXPECT_EQ(beyond->fault, Fault::out_of_bounds_copy);
    EXPECT_EQ(beyond->address, block + 8);
    EXPECT_EQ(beyond->allocation, block);
    EXPECT_EQ(beyond->allocation_bytes, usable);
    EXPECT_EQ(beyond->bytes, usable);
    EXPECT_STREQ(beyond->state, "live");
    EXPECT_STREQ(beyond->access, "write");
    heap.deallocate(0, block);
    const auto freed = report(heap, block + 8, 1);
    ASSERT_TRUE(freed);
    EXPECT_STREQ(freed->state, "held");
    EXPECT_STREQ(freed->rule, "the memory was freed");
    EXPECT_EQ(freed->allocation, nullptr);
    EXPECT_NE(kept, nullptr);
  }
  TestHeap heap;
  auto* const block = static_cast<char*>(heap.allocate(0, 100));
  const Place place = heap.place_of(block);
  const std::uint32_t last = heap.constants().shapes[place.cls].slot_count - 1U;
  EXPECT_STREQ(report(heap, static_cast<char*>(heap.slot_of(place, last)), 1)->state, "never-used");
  EXPECT_STREQ(report(heap, place.chunk->start(), 1)->rule,
               "the memory is a chunk's header, guard page or rest, and no allocation's");
  heap.deallocate(1, block);
  EXPECT_STREQ(report(heap, block, 1)->state, "marked");
  place.chunk->owner = nullptr;
  EXPECT_STREQ(report(heap, block + kSlotSizes[place.cls], 1)->rule, "the memory was freed")
      << "a header that is damaged";
}

}  // namespace
}  // namespace stave
