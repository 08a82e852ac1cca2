// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/slot_notes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "heap/test_instance.hpp"

namespace stave {
namespace {

using test::Place;
using test::TestHeap;

constexpr unsigned kOwner = 0;
constexpr unsigned kOther = 1;

/// small, medium, large; each with and without slack beyond its canary
constexpr std::size_t kRequests[] = {0,    1,    7,      8,       24,      33,      100,     1000,
                                     4096, 5000, 20'000, 200'000, 262'136, 262'137, 300'000, 1 << 20};

Options exact() { return options_of(Profile::strict); }

Options with_sizes(std::uint64_t sized) {
  Options options = exact();
  options.sized_free = sized;
  return options;
}

TEST(Family, has_a_name_and_what_is_none_has_none) {
  EXPECT_STREQ(family_name(Family::new_aligned), "aligned new");
  for (const unsigned changed : {4U, 64U, 255U}) EXPECT_EQ(family_name(static_cast<Family>(changed)), nullptr);
}

TEST(ExactSize, is_what_usable_size_tells) {
  TestHeap heap({.options = exact()});
  for (const std::size_t request : kRequests) {
    for (const std::size_t alignment : {1UL, 64UL, 4096UL, 65536UL}) {
      void* const pointer = heap.allocate_aligned(kOwner, alignment, request);
      EXPECT_EQ(heap.usable_size(pointer), request) << alignment;
      void* start = nullptr;
      std::size_t size = 0;
      EXPECT_TRUE(heap.allocator().bounds_of(pointer, &start, &size)) << request;
      EXPECT_EQ(start, pointer);
      EXPECT_EQ(size, request);
      std::memset(pointer, 0xff, request);
      heap.deallocate(kOther, pointer);
    }
  }
  EXPECT_STREQ(heap.verify(), "");
}

TEST(ExactSize, follows_realloc_by_any_thread) {
  TestHeap heap({.options = exact()});
  for (const unsigned thread : {kOwner, kOther}) {
    for (const std::size_t from : kRequests) {
      for (const std::size_t to : kRequests) {
        if (to == 0) continue;
        void* const pointer = heap.allocate(kOwner, from);
        std::memset(pointer, 0xff, from);
        void* const moved = heap.reallocate(thread, pointer, to);
        EXPECT_EQ(heap.usable_size(moved), to) << from;
        std::memset(moved, 0xee, to);
        ASSERT_STREQ(heap.death_of([&] { heap.deallocate(kOwner, moved); }), "none") << from << " to " << to;
      }
    }
  }
}

TEST(ExactSize, is_not_told_where_it_is_not_remembered) {
  TestHeap heap;
  EXPECT_EQ(heap.usable_size(heap.allocate(kOwner, 33)), 48 - kCanaryBytes);
}

/// What a heap dies of when a byte right behind a request was changed, and the slot is then freed by `thread`.
void expect_found(unsigned thread, bool closed) {
  for (const std::size_t request : kRequests) {
    for (const std::size_t byte : {0UL, 1UL, 7UL, 8UL, 40UL}) {
      if (request == 0) continue;  // which faults
      TestHeap heap({.options = exact()});
      auto* const pointer = static_cast<unsigned char*>(heap.allocate(kOwner, request));
      const bool large = heap.class_for(request) == kClassCount;
      const std::size_t room =
          large ? align_up(request, page_size()) - request : kSlotSizes[heap.place_of(pointer).cls] - request;
      if (byte >= room) continue;
      if (closed) heap.close_all(kOwner);
      // A byte 0 is found as well, but for the canary's first, and in the last page of a large block.
      unsigned char* const changed = pointer + request + byte;
      const bool was_zero = *changed == 0;
      *changed = was_zero ? 1 : 0;
      const auto fault = heap.fault_of([&] { heap.deallocate(thread, pointer); });
      ASSERT_TRUE(fault) << request << " byte " << byte;
      EXPECT_EQ(fault->fault, Fault::overflow);
      EXPECT_EQ(fault->address, pointer);
      EXPECT_EQ(fault->changed, changed) << request << " byte " << byte;
      EXPECT_TRUE(!was_zero || large || room - byte <= kCanaryBytes || byte + 8 > kFilledSlack) << request;
    }
  }
}

TEST(Slack, that_was_changed_kills_at_the_owners_free) { expect_found(kOwner, false); }
TEST(Slack, that_was_changed_kills_at_the_owners_free_in_a_closed_chunk) { expect_found(kOwner, true); }
TEST(Slack, that_was_changed_kills_at_a_remote_free) { expect_found(kOther, false); }

TEST(Slack, that_was_changed_kills_at_realloc) {
  for (const std::size_t request : {33UL, 5001UL, 300'000UL}) {
    for (const std::size_t to : {request - 1, 2 * request, 5 * request}) {
      TestHeap heap({.options = exact()});
      auto* const pointer = static_cast<char*>(heap.allocate(kOwner, request));
      pointer[request] ^= 1;
      EXPECT_STREQ(heap.death_of([&] { (void)heap.reallocate(kOwner, pointer, to); }), "overflow") << request;
    }
  }
}

TEST(Slack, of_a_size_that_cannot_be_kills) {
  for (const std::uint16_t slack : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{0xffff}}) {
    TestHeap heap({.options = exact()});
    void* const pointer = heap.allocate(kOwner, 100);
    const Place place = heap.place_of(pointer);
    const auto index = static_cast<std::uint64_t>(std::countr_zero(place.bit));
    *heap.allocator().notes_of(place.chunk, place.line, index).slack = slack;
    EXPECT_STREQ(heap.death_of([&] { (void)heap.usable_size(pointer); }), "overflow") << slack;
    EXPECT_STREQ(heap.death_of([&] { heap.deallocate(kOwner, pointer); }), "overflow") << slack;
  }
}

TEST(Slack, byte_is_drawn_and_never_zero) {
  std::vector<std::uint64_t> seen;
  for (std::uint64_t seed = 1; seed != 9; ++seed) {
    TestHeap heap({.seed = seed, .options = exact()});
    auto* const pointer = static_cast<unsigned char*>(heap.allocate(kOwner, 33));
    EXPECT_NE(pointer[33], 0);
    EXPECT_EQ(pointer[33], pointer[34]);
    seen.push_back(pointer[33]);
  }
  EXPECT_FALSE(std::equal(seen.begin() + 1, seen.end(), seen.begin()));
}

TEST(Slack, shows_nothing_of_an_earlier_life) {
  TestHeap heap({.options = exact()});
  for (int i = 0; i != 300; ++i) {
    auto* const pointer = static_cast<unsigned char*>(heap.allocate(kOwner, 1000));
    for (int at = 0; at != 1000; ++at) ASSERT_EQ(pointer[at], 0);
    std::memset(pointer, 0xff, 1000);
    heap.deallocate(i % 2 == 0 ? kOwner : kOther, pointer);
  }
}

constexpr Family kFamilies[] = {Family::malloc, Family::new_single, Family::new_array, Family::new_aligned};

TEST(Families, must_be_those_of_the_allocation) {
  for (const std::size_t request : {std::size_t{0}, std::size_t{40}, std::size_t{5000}, std::size_t{1} << 20}) {
    for (const unsigned thread : {kOwner, kOther}) {
      for (const Family made : kFamilies) {
        for (const Family freed : kFamilies) {
          TestHeap heap({.options = exact()});
          void* const pointer = heap.allocate(kOwner, {request, made});
          const auto fault = heap.fault_of([&] { heap.deallocate(thread, pointer, {.family = freed}); });
          ASSERT_EQ(fault.has_value(), made != freed) << request;
          if (!fault) continue;
          EXPECT_EQ(fault->fault, Fault::family_mismatch);
          EXPECT_EQ(fault->address, pointer);
        }
      }
    }
  }
}

TEST(Families, are_not_mixed_up_between_neighbours) {
  TestHeap heap({.options = exact()});
  std::vector<void*> pointers;
  for (int i = 0; i != 1000; ++i) pointers.push_back(heap.allocate(kOwner, {40, kFamilies[i % 4]}));
  for (int i = 0; i != 1000; ++i) {
    ASSERT_STREQ(heap.death_of([&] { heap.deallocate(kOwner, pointers[i], {.family = kFamilies[i % 4]}); }), "none");
  }
}

TEST(Families, other_than_mallocs_must_not_go_to_realloc) {
  for (const std::size_t request : {std::size_t{40}, std::size_t{5000}, std::size_t{1} << 20}) {
    TestHeap heap({.options = exact()});
    void* const pointer = heap.allocate(kOwner, {request, Family::new_array});
    EXPECT_STREQ(heap.death_of([&] { (void)heap.reallocate(kOwner, pointer, request + 1); }), "family-mismatch");
  }
}

TEST(Families, do_not_matter_where_nobody_asked) {
  Options options = exact();
  options.family = 0;
  TestHeap heap({.options = options});
  void* const pointer = heap.allocate(kOwner, {40, Family::new_array});
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(kOwner, pointer, {.family = Family::new_single}); }), "none");
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(kOwner, heap.allocate(kOwner, 40), {.any_family = true}); }),
               "none");
}

/// What a free of `request` dies of that says `said`.
const char* death(const Options& options, std::size_t request, std::size_t said, unsigned thread = kOwner) {
  TestHeap heap({.options = options});
  const Family family = Family::new_single;
  void* const pointer = heap.allocate(kOwner, {request, family});
  (void)heap.allocate(kOwner, {request, family});  // so that the first is in no cursor's way
  return heap.death_of([&] { heap.deallocate(thread, pointer, {.size = said, .family = family}); });
}

TEST(SizedFree, by_class_may_name_any_size_of_the_class) {
  for (const std::uint64_t profile : {0, 1}) {
    Options options = options_of(profile == 0 ? Profile::standard : Profile::strict);
    options.sized_free = kSizedByClass;
    for (const unsigned thread : {kOwner, kOther}) {
      EXPECT_STREQ(death(options, 36, 36, thread), "none");
      EXPECT_STREQ(death(options, 36, 40, thread), "none");
      EXPECT_STREQ(death(options, 36, 20, thread), "size-mismatch");
      EXPECT_STREQ(death(options, 36, 72, thread), "size-mismatch");
      EXPECT_STREQ(death(options, 36, 0, thread), "size-mismatch");
      EXPECT_STREQ(death(options, 36, 5000, thread), "size-mismatch");
      EXPECT_STREQ(death(options, 36, SIZE_MAX - 1, thread), "size-mismatch");
      EXPECT_STREQ(death(options, 5000, 5001, thread), "none");
      EXPECT_STREQ(death(options, 5000, 36, thread), "size-mismatch");
      EXPECT_STREQ(death(options, 1 << 20, (1 << 20) - 10, thread), "none");
      EXPECT_STREQ(death(options, 1 << 20, 1 << 21, thread), "size-mismatch");
    }
  }
}

TEST(SizedFree, exact_must_name_the_very_size) {
  for (const std::size_t request : {std::size_t{1}, std::size_t{36}, std::size_t{5000}, std::size_t{1} << 20}) {
    const Options options = with_sizes(kSizedExact);
    EXPECT_STREQ(death(options, request, request), "none");
    EXPECT_STREQ(death(options, request, request + 1), "size-mismatch");
    EXPECT_STREQ(death(options, request, request - 1), "size-mismatch");
  }
}

TEST(SizedFree, off_may_name_anything) {
  EXPECT_STREQ(death(with_sizes(kSizedOff), 36, 5000), "none");
  EXPECT_STREQ(death(options_of(Profile::light), 36, 5000), "none");
}

TEST(SizedFree, of_what_realloc_left_in_its_place_may_name_its_new_size) {
  for (const Profile profile : {Profile::standard, Profile::strict, Profile::fuzz}) {
    for (const std::size_t request : {std::size_t{100}, std::size_t{5000}, std::size_t{1} << 20}) {
      TestHeap heap({.options = options_of(profile)});
      const std::size_t less = request * 6 / 10;
      void* const pointer = heap.reallocate(kOwner, heap.allocate(kOwner, request), less);
      EXPECT_STREQ(heap.death_of([&] { heap.deallocate(kOwner, pointer, {.size = less}); }), "none") << request;
    }
  }
}

TEST(SizedFree, may_name_an_alignment_that_holds) {
  for (const std::size_t request : {std::size_t{0}, std::size_t{100}, std::size_t{5000}, std::size_t{1} << 20}) {
    TestHeap heap({.options = options_of(Profile::fuzz)});
    for (const unsigned log2 : {4U, 6U, 12U, 16U}) {
      const Claim claim{.size = request, .alignment_log2 = log2, .family = Family::new_aligned};
      void* const pointer = heap.allocate_aligned(kOwner, claim.alignment(), {request, Family::new_aligned});
      EXPECT_STREQ(heap.death_of([&] { heap.deallocate(kOwner, pointer, claim); }), "none") << request << " " << log2;
    }
  }
}

TEST(SizedFree, must_not_name_an_alignment_that_does_not_hold) {
  for (const std::size_t request : {std::size_t{100}, std::size_t{1} << 20}) {
    TestHeap heap({.options = exact()});
    char* pointer = nullptr;
    do {
      pointer = static_cast<char*>(heap.allocate_aligned(kOwner, 64, {request, Family::new_aligned}));
    } while (address_of(pointer) % (1 << 20) == 0);
    const Claim claim{.alignment_log2 = 20, .family = Family::new_aligned};
    EXPECT_STREQ(heap.death_of([&] { heap.deallocate(kOwner, pointer, claim); }), "alignment-mismatch") << request;
  }
}

TEST(Shapes, with_notes_hold_them_in_the_header_page) {
  for (const std::size_t page : {4096UL, 16384UL, 65536UL}) {
    for (SizeClass cls = 0; cls != kClassCount; ++cls) {
      const ClassShape with = class_shape(cls, page, true);
      const ClassShape without = class_shape(cls, page, false);
      EXPECT_EQ(with.slots_offset, without.slots_offset) << "so that a chunk may change its class";
      EXPECT_LE((with.colour_count - 1U) * kLine + kHeaderBytes + with.line_count() * (kLine + kNotesBytes), page);
      if (with.slot_size >= 48 || page > 4096) {
        EXPECT_EQ(with.slot_count, without.slot_count);
      }
    }
  }
}

}  // namespace
}  // namespace stave
