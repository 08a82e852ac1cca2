// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The chunks of a heap: where each is kept, when it goes, and what its pointers may lead to.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "heap/test_instance.hpp"

namespace stave {
namespace {

using test::Place;
using test::TestHeap;

constexpr std::size_t kSize = 1000;

class Lists : public testing::Test {
 protected:
  /// Fills `chunks` chunks of the class; allocations in the order of their chunks' fillings.
  void fill(std::size_t chunks) {
    do {
      all_.push_back(heap_.allocate(0, kSize));
      ASSERT_NE(all_.back(), nullptr);
      cls_ = heap_.place_of(all_.back()).cls;
    } while (heap_.stats().chunks <= chunks);
    heap_.deallocate(0, all_.back());  // the first of one more
    all_.pop_back();
  }
  /// All allocations in the chunk of the i-th one, taken out of all_.
  std::vector<void*> take_chunk(std::size_t i) {
    const Chunk* const chunk = heap_.place_of(all_[i]).chunk;
    const auto rest =
        std::partition(all_.begin(), all_.end(), [&](void* p) { return heap_.place_of(p).chunk != chunk; });
    std::vector<void*> taken(rest, all_.end());
    all_.erase(rest, all_.end());
    return taken;
  }
  [[nodiscard]] ClassChunks& chunks() { return heap_.heap(0).classes[cls_]; }

  TestHeap heap_;
  std::vector<void*> all_;
  SizeClass cls_ = 0;
};

TEST_F(Lists, a_full_chunk_is_usable_again_when_enough_was_freed) {
  fill(4);
  const std::vector<void*> chunk = take_chunk(0);
  Chunk* const where = heap_.place_of(chunk[0]).chunk;
  ASSERT_EQ(where->place, Chunk::Place::full);
  std::size_t freed = 0;
  while (where->place == Chunk::Place::full) {
    ASSERT_LT(freed, chunk.size());
    heap_.deallocate(0, chunk[freed++]);
    ASSERT_STREQ(heap_.verify(), "");
  }
  EXPECT_EQ(where->place, Chunk::Place::usable);
  EXPECT_EQ(freed, heap_.constants().usable_at[cls_]);
}

TEST_F(Lists, a_chunk_in_use_is_not_given_back_whatever_its_counts_say) {
  fill(4);
  const std::vector<void*> taken = take_chunk(0);
  Chunk* const chunk = heap_.place_of(taken[0]).chunk;
  ASSERT_EQ(chunk->place, Chunk::Place::full);
  chunk->notify_at = chunk->opened;
  chunk->until_notified = 1;
  heap_.deallocate(0, taken[0]);
  EXPECT_STREQ(heap_.death_of([&] { (void)heap_.trim(0); }), "corrupt-bitmap");
}

TEST_F(Lists, some_empty_chunks_are_kept_and_those_too_many_go) {
  fill(20);
  const std::uint64_t before = heap_.stats().chunks;
  while (!all_.empty()) {
    for (void* const pointer : take_chunk(0)) heap_.deallocate(0, pointer);
    ASSERT_STREQ(heap_.verify(), "");
    EXPECT_EQ(heap_.stats().chunks + heap_.stats().vacant_chunks, before);
    EXPECT_LE(chunks().empty, 4 + before / 2);
  }
  EXPECT_GE(heap_.stats().vacant_chunks, before / 4);
  EXPECT_GE(chunks().empty, 1U) << "at the edge of a chunk a program would map and unmap";
}

TEST_F(Lists, a_class_that_grows_takes_what_others_keep) {
  fill(40);
  for (void* const pointer : all_) heap_.deallocate(0, pointer);
  all_.clear();
  const std::uint32_t kept = chunks().empty;
  ASSERT_GE(kept, 10U);
  std::vector<void*> others;
  while (chunks().empty > 4) {
    const std::uint64_t before = heap_.stats().vacant_chunks;
    others.push_back(heap_.allocate(0, 100));
    ASSERT_LE(others.size(), 40'000U) << "chunks of 1000 bytes wait, and chunks of 100 bytes are made";
    ASSERT_GE(heap_.stats().vacant_chunks, before);
  }
  EXPECT_GE(chunks().empty, 1U);
  ASSERT_STREQ(heap_.verify(), "");
  for (void* const pointer : others) heap_.deallocate(0, pointer);
  ASSERT_STREQ(heap_.verify(), "");
}

TEST_F(Lists, large_blocks_that_grow_take_what_classes_keep) {
  fill(40);
  for (void* const pointer : all_) heap_.deallocate(0, pointer);
  all_.clear();
  const std::uint32_t kept = chunks().empty;
  heap_.deallocate(0, heap_.allocate(0, 400'000));
  const std::uint32_t then = chunks().empty;
  EXPECT_LT(then, kept);
  for (int i = 0; i != 20; ++i) heap_.deallocate(0, heap_.allocate(0, 400'000));
  EXPECT_EQ(chunks().empty, then) << "so much was large before";
  EXPECT_STREQ(heap_.verify(), "");
}

TEST_F(Lists, at_the_edge_of_a_chunk_no_call_to_the_kernel_is_made) {
  fill(3);
  for (int i = 0; i != 3; ++i) {
    void* const pointer = heap_.allocate(0, kSize);
    heap_.deallocate(0, pointer);
  }
  const std::uint64_t calls = heap_.calls;
  for (int round = 0; round != 1000; ++round) {
    void* const pointer = heap_.allocate(0, kSize);
    heap_.deallocate(0, pointer);
  }
  EXPECT_EQ(heap_.calls, calls);
}

TEST_F(Lists, trim_gives_every_empty_chunk_back) {
  fill(4);
  for (void* const pointer : all_) heap_.deallocate(0, pointer);
  EXPECT_TRUE(heap_.trim(0));
  EXPECT_EQ(heap_.stats().chunks, 0U);
  EXPECT_EQ(chunks().chunks, 0U);
  EXPECT_EQ(chunks().empty, 0U);
  EXPECT_FALSE(heap_.trim(0));
  EXPECT_STREQ(heap_.verify(), "");
  EXPECT_NE(heap_.allocate(0, kSize), nullptr);
}

TEST_F(Lists, churn_keeps_every_chunk_in_its_place) {
  std::mt19937 random(11);
  for (int step = 0; step != 40'000; ++step) {
    if (all_.empty() || (all_.size() < 600 && random() % 2 == 0)) {
      all_.push_back(heap_.allocate(0, kSize));
    } else {
      std::swap(all_[random() % all_.size()], all_.back());
      heap_.deallocate(0, all_.back());
      all_.pop_back();
    }
    if (step % 500 == 0) {
      ASSERT_STREQ(heap_.verify(), "") << step;
    }
  }
}

// --- damaged pointers
// -------------------------------------------------------------------------------------------------

/// What a heap dies of that has full and usable chunks and whose list pointers `damage` has changed, when it is used
/// on.
template <class Damage>
std::string death(Damage damage) {
  TestHeap heap;
  std::vector<void*> all;
  while (heap.stats().chunks < 8) all.push_back(heap.allocate(0, kSize));
  const SizeClass cls = heap.place_of(all[0]).cls;
  ClassChunks& chunks = heap.heap(0).classes[cls];
  Chunk* const chunk = chunks.full;
  if (chunk == nullptr || chunk->next == chunk || chunk->next->next == chunk) return "too few full chunks";
  damage(heap, *chunk);
  std::vector<void*> inside;
  for (void* const pointer : all) {
    if (heap.place_of(pointer).chunk == chunk) inside.push_back(pointer);
  }
  return heap.death_of([&] {
    for (void* const pointer : inside) heap.deallocate(0, pointer);  // it leaves the list of full ones
  });
}

TEST(DamagedLists, an_undamaged_one_kills_nobody) {
  EXPECT_EQ(death([](TestHeap&, Chunk&) {}), "none");
}

TEST(DamagedLists, a_pointer_out_of_our_memory_kills) {
  static Chunk forged;
  for (Chunk* const target : {static_cast<Chunk*>(nullptr), &forged, reinterpret_cast<Chunk*>(0x41414141'41414141)}) {
    EXPECT_EQ(death([&](TestHeap&, Chunk& chunk) { chunk.next = target; }), "corrupt-list");
    EXPECT_EQ(death([&](TestHeap&, Chunk& chunk) { chunk.previous = target; }), "corrupt-list");
  }
}

TEST(DamagedLists, a_pointer_into_a_slot_kills) {
  const auto slot = [](TestHeap& heap) { return static_cast<Chunk*>(heap.allocate(0, kSize)); };
  EXPECT_EQ(death([&](TestHeap& heap, Chunk& chunk) { chunk.next = slot(heap); }), "corrupt-list");
  EXPECT_EQ(death([&](TestHeap& heap, Chunk& chunk) { chunk.previous = slot(heap); }), "corrupt-list");
  // With a copy of a header in it: its seal is of another place.
  EXPECT_EQ(death([&](TestHeap& heap, Chunk& chunk) {
              Chunk* const copy = slot(heap);
              std::memcpy(static_cast<void*>(copy), &chunk, sizeof chunk);
              chunk.next = copy;
            }),
            "corrupt-list");
}

TEST(DamagedLists, a_pointer_to_a_chunk_of_another_class_or_heap_or_place_kills) {
  const auto other = [](TestHeap& heap, unsigned thread, std::size_t size) {
    return heap.place_of(heap.allocate(thread, size)).chunk;
  };
  EXPECT_EQ(death([&](TestHeap& heap, Chunk& chunk) { chunk.next = other(heap, 0, 64); }), "corrupt-list");
  EXPECT_EQ(death([&](TestHeap& heap, Chunk& chunk) { chunk.next = other(heap, 1, kSize); }), "corrupt-list");
  EXPECT_EQ(death([&](TestHeap& heap, Chunk& chunk) { chunk.next = other(heap, 0, kSize); }), "corrupt-list");
  EXPECT_EQ(death([&](TestHeap& heap, Chunk& chunk) { chunk.previous = other(heap, 0, 64); }), "corrupt-list");
}

TEST(DamagedLists, a_neighbour_that_does_not_point_back_kills) {
  EXPECT_EQ(death([](TestHeap&, Chunk& chunk) { chunk.next = chunk.next->next; }), "corrupt-list");
  EXPECT_EQ(death([](TestHeap&, Chunk& chunk) { chunk.previous = chunk.previous->previous; }), "corrupt-list");
  EXPECT_EQ(death([](TestHeap&, Chunk& chunk) { chunk.next = &chunk; }), "corrupt-list");
}

TEST(DamagedLists, a_neighbour_whose_header_was_overwritten_kills) {
  EXPECT_EQ(death([](TestHeap&, Chunk& chunk) { chunk.next->seal ^= 1; }), "corrupt-list");
  EXPECT_EQ(death([](TestHeap&, Chunk& chunk) { chunk.previous->owner = &chunk; }), "corrupt-list");
}

TEST(DamagedLists, a_circle_kills_who_goes_through_it) {
  TestHeap heap;
  std::vector<void*> all;
  while (heap.stats().chunks < 5) all.push_back(heap.allocate(0, kSize));
  Chunk* const chunk = heap.place_of(all.front()).chunk;  // the last one of its list
  chunk->next = chunk->previous;
  EXPECT_STREQ(heap.death_of([&] { (void)heap.trim(0); }), "corrupt-list");
}

TEST(DamagedLists, an_impossible_count_kills) {
  EXPECT_EQ(death([](TestHeap&, Chunk& chunk) { chunk.until_notified = 1, chunk.notify_at = chunk.opened + 1; }),
            "corrupt-header");
  EXPECT_EQ(death([](TestHeap&, Chunk& chunk) { chunk.until_notified = 1, chunk.notify_at = 1, chunk.opened = 0; }),
            "corrupt-header");
}

TEST(DamagedLists, an_empty_chunk_that_is_not_there_kills_who_gives_it_back) {
  TestHeap heap;
  const Place place = heap.place_of(heap.allocate(0, kSize));
  heap.heap(0).classes[place.cls].empty = 1;
  EXPECT_STREQ(heap.death_of([&] { (void)heap.trim(0); }), "corrupt-list");
}

TEST(DamagedLists, a_chunk_is_not_released_with_frees_to_collect) {
  TestHeap heap;
  std::vector<void*> all;
  while (heap.stats().chunks < 4) all.push_back(heap.allocate(0, kSize));
  const Place place = heap.place_of(all[0]);
  place.chunk->pending.store(1);
  EXPECT_STREQ(heap.death_of([&] {
    for (void* const pointer : all) heap.deallocate(0, pointer);
    (void)heap.trim(0);
  }),
               "corrupt-bitmap");
}

}  // namespace
}  // namespace stave
