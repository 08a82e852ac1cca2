// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/contents.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "heap/test_instance.hpp"

namespace stave {
namespace {

using test::Place;
using test::TestHeap;

constexpr unsigned kOwner = 0;
constexpr unsigned kOther = 1;

/// small, medium, and as many bytes as the largest slot leaves beside a canary
constexpr std::size_t kRequests[] = {1, 24, 100, 1000, 5000, 20'000, 200'000, kLargestSlot - kCanaryBytes};

Options with(std::uint64_t canary, std::uint64_t zero_on_free) {
  Options options = options_of(Profile::standard);
  options.canary = canary;
  options.zero_on_free = zero_on_free;
  return options;
}

std::size_t slot_size(const Place& place) { return kSlotSizes[place.cls]; }

TEST(Canary, lies_where_a_request_leaves_room_and_behind_each_when_always) {
  for (const auto& [canary, expected] :
       {std::pair{kCanaryOff, false}, {kCanaryInSlack, false}, {kCanaryAlways, true}}) {
    TestHeap heap({.options = with(canary, 1)});
    for (const std::size_t request : kRequests) {
      for (const std::size_t alignment : {std::size_t{1}, std::size_t{64}, std::size_t{4096}}) {
        void* const pointer = heap.allocate_aligned(kOwner, alignment, request);
        const Place place = heap.place_of(pointer);
        const bool room = request + kCanaryBytes <= slot_size(place);
        EXPECT_TRUE(room || !expected) << request;
        EXPECT_EQ((place.line->canary & place.bit) != 0, room && canary != kCanaryOff) << request;
        EXPECT_EQ(heap.usable_size(pointer), slot_size(place) - (room && canary != kCanaryOff ? kCanaryBytes : 0));
        std::memset(pointer, 0xff, heap.usable_size(pointer));
        heap.deallocate(kOwner, pointer);
      }
    }
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST(Canary, begins_with_a_zero_byte_and_differs_from_slot_to_slot_and_from_heap_to_heap) {
  std::set<std::uint64_t> seen;
  for (const std::uint64_t seed : {1, 2}) {
    TestHeap heap({.seed = seed});
    for (int i = 0; i != 100; ++i) {
      void* const pointer = heap.allocate(kOwner, 100);
      std::uint64_t canary = 0;
      std::memcpy(&canary, static_cast<char*>(pointer) + heap.usable_size(pointer), sizeof canary);
      EXPECT_EQ(canary & 0xff, 0U);
      EXPECT_TRUE(seen.insert(canary).second);
    }
  }
}

/// What a heap dies of when each byte of a canary in turn was changed, and the slot is then freed by `thread`.
void expect_overflow(unsigned thread, bool closed) {
  for (const std::size_t request : kRequests) {
    for (std::size_t byte = 0; byte != kCanaryBytes; ++byte) {
      TestHeap heap({.options = with(kCanaryAlways, 1)});
      auto* const pointer = static_cast<unsigned char*>(heap.allocate(kOwner, request));
      if (closed) heap.close_all(kOwner);
      unsigned char* const changed = pointer + heap.usable_size(pointer) + byte;
      *changed ^= 1;
      EXPECT_EQ(std::string(heap.verify()).substr(0, 2), "L5");
      const auto fault = heap.fault_of([&] { heap.deallocate(thread, pointer); });
      ASSERT_TRUE(fault) << request << " byte " << byte;
      EXPECT_EQ(fault->fault, Fault::overflow);
      EXPECT_EQ(fault->address, pointer);
      EXPECT_EQ(fault->changed, changed);
    }
  }
}

TEST(Canary, that_was_changed_kills_at_the_owners_free) { expect_overflow(kOwner, false); }
TEST(Canary, that_was_changed_kills_at_the_owners_free_in_a_closed_chunk) { expect_overflow(kOwner, true); }
TEST(Canary, that_was_changed_kills_at_a_remote_free) { expect_overflow(kOther, false); }

TEST(Canary, that_was_changed_kills_when_realloc_moves) {
  TestHeap heap;
  auto* const pointer = static_cast<char*>(heap.allocate(kOwner, 100));
  ++pointer[heap.usable_size(pointer) + 3];
  EXPECT_STREQ(heap.death_of([&] { (void)heap.reallocate(kOwner, pointer, 5000); }), "overflow");
}

TEST(Canary, is_no_secret_of_the_slot_that_it_was_copied_from) {
  TestHeap heap;
  auto* const from = static_cast<char*>(heap.allocate(kOwner, 100));
  auto* const to = static_cast<char*>(heap.allocate(kOwner, 100));
  sanitizer::copy_own(to, from, slot_size(heap.place_of(from)));
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(kOwner, to); }), "overflow");
}

/// Two live slots of one word, the second right behind the first.
std::pair<char*, char*> neighbours(TestHeap& heap) {
  std::vector<char*> all;
  for (;;) {
    auto* const pointer = static_cast<char*>(heap.allocate(kOwner, 100));
    const std::size_t size = slot_size(heap.place_of(pointer));
    for (char* const other : all) {
      if (other + size == pointer && heap.place_of(other).line == heap.place_of(pointer).line) return {other, pointer};
      if (pointer + size == other && heap.place_of(other).line == heap.place_of(pointer).line) return {pointer, other};
    }
    all.push_back(pointer);
  }
}

TEST(Neighbours, are_looked_at_when_the_slot_behind_is_freed) {
  for (const bool closed : {false, true}) {
    for (std::size_t byte = 0; byte != kCanaryBytes; ++byte) {
      TestHeap heap({.options = options_of(Profile::strict)});
      const auto [first, second] = neighbours(heap);
      if (closed) heap.close_all(kOwner);
      (second - kCanaryBytes)[byte] ^= 1;
      const auto fault = heap.fault_of([&, freed = second] { heap.deallocate(kOwner, freed); });
      ASSERT_TRUE(fault) << byte;
      EXPECT_EQ(fault->fault, byte < kCanaryBytes / 2 ? Fault::overflow : Fault::underflow) << byte;
      EXPECT_EQ(fault->address, byte < kCanaryBytes / 2 ? first : second) << byte;
    }
  }
}

TEST(Neighbours, are_not_looked_at_when_they_are_free_or_nobody_asked) {
  Options options = options_of(Profile::strict);
  for (const std::uint64_t asked : {0, 1}) {
    options.neighbours = asked;
    TestHeap heap({.options = options});
    const auto [first, second] = neighbours(heap);
    if (asked != 0) {
      heap.deallocate(kOwner, first);
    } else {
      second[-1] ^= 1;
    }
    heap.deallocate(kOwner, second);
  }
}

TEST(Realloc, keeps_to_what_the_canary_leaves) {
  TestHeap heap;
  void* const pointer = heap.allocate(kOwner, 100);
  const std::size_t usable = heap.usable_size(pointer);
  EXPECT_EQ(heap.reallocate(kOwner, pointer, usable), pointer);
  EXPECT_STREQ(heap.verify(), "");
  void* const moved = heap.reallocate(kOwner, pointer, usable + 1);
  EXPECT_NE(moved, pointer);
  EXPECT_GE(heap.usable_size(moved), usable + 1);
  EXPECT_STREQ(heap.verify(), "");
}

bool all_zero(const void* start, std::size_t bytes) {
  const auto* const bytes_of = static_cast<const unsigned char*>(start);
  for (std::size_t at = 0; at != bytes; ++at) {
    if (bytes_of[at] != 0) return false;
  }
  return true;
}

TEST(ZeroOnFree, clears_the_whole_slot_by_its_owner_at_a_local_free) {
  for (const std::size_t request : kRequests) {
    for (const bool closed : {false, true}) {
      TestHeap heap;
      void* const kept = heap.allocate(kOwner, request);  // keeps the chunk
      void* const pointer = heap.allocate(kOwner, request);
      const Place place = heap.place_of(pointer);
      if (closed) heap.close_all(kOwner);
      std::memset(pointer, 0xee, heap.usable_size(pointer));
      heap.deallocate(kOwner, pointer);
      EXPECT_TRUE(all_zero(pointer, slot_size(place))) << request;
      EXPECT_EQ(place.line->canary & place.bit, 0U);
      EXPECT_STREQ(heap.verify(), "");
      heap.deallocate(kOwner, kept);
    }
  }
}

TEST(ZeroOnFree, waits_for_the_owner_at_a_remote_free) {
  TestHeap heap;
  void* const kept = heap.allocate(kOwner, 100);
  void* const pointer = heap.allocate(kOwner, 100);
  const Place place = heap.place_of(pointer);
  std::memset(pointer, 0xee, heap.usable_size(pointer));
  heap.deallocate(kOther, pointer);
  EXPECT_FALSE(all_zero(pointer, slot_size(place))) << "another thread's store may meet the next user";
  heap.heap(kOwner).enter();
  heap.allocator().drain_inbox(heap.heap(kOwner));
  heap.heap(kOwner).leave();
  EXPECT_TRUE(all_zero(pointer, slot_size(place)));
  EXPECT_EQ(place.line->canary & place.bit, 0U);
  EXPECT_STREQ(heap.verify(), "");
  heap.deallocate(kOwner, kept);
}

TEST(ZeroOnFree, leaves_what_lay_there_when_it_is_off) {
  TestHeap heap({.options = with(kCanaryOff, 0)});
  void* const pointer = heap.allocate(kOwner, 100);
  std::memset(pointer, 0xee, 100);
  heap.deallocate(kOwner, pointer);
  EXPECT_EQ(static_cast<unsigned char*>(pointer)[50], 0xee);
}

Options with_write_check() {
  Options options = with(kCanaryInSlack, 1);
  options.write_after_free = 1;
  return options;
}

/// What a heap dies of when a byte of a freed slot was written, and its class is used on.
std::optional<FaultRecord> death_by_write(unsigned thread, std::size_t request, std::size_t at, bool closed) {
  TestHeap heap({.options = with_write_check()});
  void* const kept = heap.allocate(kOwner, request);
  auto* const pointer = static_cast<unsigned char*>(heap.allocate(kOwner, request));
  heap.deallocate(thread, pointer);
  if (thread == kOther) (void)heap.trim(kOwner);  // collects
  if (closed) heap.close_all(kOwner);
  pointer[at] = 1;
  const auto fault = heap.fault_of([&] {
    for (int i = 0; i != 100'000; ++i) heap.deallocate(kOwner, heap.allocate(kOwner, request));
  });
  if (fault) {
    EXPECT_EQ(fault->address, pointer);
    EXPECT_EQ(fault->changed, pointer + at);
  }
  (void)kept;
  return fault;
}

TEST(WriteAfterFree, kills_when_the_slot_leaves_the_hold) {
  for (const std::size_t request : {std::size_t{100}, std::size_t{20'000}}) {
    for (const std::size_t at : {std::size_t{0}, request / 2 + 1, request - 1}) {
      for (const bool closed : {false, true}) {
        const auto fault = death_by_write(kOwner, request, at, closed);
        ASSERT_TRUE(fault) << request << " at " << at;
        EXPECT_EQ(fault->fault, Fault::write_after_free);
      }
    }
  }
}

TEST(WriteAfterFree, kills_for_what_another_thread_freed) {
  const auto fault = death_by_write(kOther, 100, 50, false);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->fault, Fault::write_after_free);
}

TEST(WriteAfterFree, is_not_looked_for_unless_asked) {
  for (const bool zero : {false, true}) {
    Options options = with_write_check();
    options.zero_on_free = zero ? 1 : 0;
    options.write_after_free = zero ? 0 : 1;  // without zeros there is nothing to compare with
    TestHeap heap({.options = options});
    auto* const pointer = static_cast<unsigned char*>(heap.allocate(kOwner, 100));
    heap.deallocate(kOwner, pointer);
    pointer[50] = 1;
    for (int i = 0; i != 10'000; ++i) heap.deallocate(kOwner, heap.allocate(kOwner, 100));
  }
}

TEST(ZeroSlot, clears_exactly_its_bytes) {
  ContentRules rules;
  std::vector<unsigned char> memory(4096 + 32);
  for (rules.vectors = Vectors::narrow;; rules.vectors = vectors_here()) {
    for (std::size_t bytes = 0; bytes <= 4096; bytes += 16) {
      std::memset(memory.data(), 0xaa, memory.size());
      unsigned char* const slot = memory.data() + 16;
      zero_slot(rules, slot, bytes);
      EXPECT_TRUE(all_zero(slot, bytes));
      EXPECT_EQ(slot[-1], 0xaa);
      EXPECT_EQ(slot[bytes], 0xaa);
    }
    if (rules.vectors == vectors_here()) break;
  }
}

}  // namespace
}  // namespace stave
