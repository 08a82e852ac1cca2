// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Heaps and their threads.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "base/test_child.hpp"
#include "heap/test_instance.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

using test::TestHeap;

TEST(HeapTable, a_thread_takes_over_what_an_ended_one_left) {
  TestHeap heap;
  std::vector<char*> kept;
  for (int i = 0; i != 500; ++i) {
    kept.push_back(static_cast<char*>(heap.allocate(0, 200)));
    std::memset(kept.back(), i % 128, 200);
  }
  ThreadHeap* const first = &heap.heap(0);
  const std::uint64_t chunks = heap.stats().chunks;
  heap.exit_thread(0);
  EXPECT_STREQ(heap.verify(), "");
  std::set<void*> fresh;
  for (int i = 0; i != 500; ++i) fresh.insert(heap.allocate(1, 200));
  EXPECT_EQ(&heap.heap(1), first);
  EXPECT_EQ(heap.stats().heaps, 1U);
  EXPECT_LE(heap.stats().chunks, chunks + 2 + chunks / 2) << "the chunks of the ended one serve on";
  for (int i = 0; i != 500; ++i) {
    EXPECT_EQ(fresh.count(kept[static_cast<std::size_t>(i)]), 0U);
    for (int at = 0; at != 200; ++at) ASSERT_EQ(kept[static_cast<std::size_t>(i)][at], i % 128);
  }
  // The new owner frees them as its own.
  for (char* const pointer : kept) heap.deallocate(1, pointer);
  EXPECT_EQ(heap.heap(1).inbox.load(), nullptr);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(HeapTable, adoption_loses_no_chunk_of_any_kind) {
  TestHeap heap;
  // Full, usable and current chunks, small and medium.
  std::vector<void*> all;
  for (const std::size_t size : Sizes{16, 1000, 20'000}) {
    std::vector<void*> of_size;
    for (int i = 0; i != 600; ++i) of_size.push_back(heap.allocate(0, size));
    for (std::size_t i = 0; i != of_size.size(); ++i) {
      i < 240 && i % 2 == 0 ? heap.deallocate(0, of_size[i]) : all.push_back(of_size[i]);
    }
  }
  std::set<Chunk*> before;
  for (void* const pointer : all) before.insert(heap.place_of(pointer).chunk);
  for (int generation = 0; generation != 5; ++generation) {
    heap.exit_thread(static_cast<unsigned>(generation));
    // Served from what is there: a slot of each class, and no new heap.
    for (const std::size_t size : Sizes{16, 1000, 20'000}) {
      void* const pointer = heap.allocate(static_cast<unsigned>(generation) + 1, size);
      EXPECT_EQ(before.count(heap.place_of(pointer).chunk), 1U) << "generation " << generation;
      all.push_back(pointer);
    }
    ASSERT_STREQ(heap.verify(), "");
    std::set<Chunk*> owned;
    heap.arena().for_each_chunk([&](Chunk* chunk) {
      EXPECT_EQ(chunk->owner, &heap.heap(static_cast<unsigned>(generation) + 1));
      owned.insert(chunk);
    });
    for (Chunk* const chunk : before) EXPECT_EQ(owned.count(chunk), 1U);
  }
  for (void* const pointer : all) heap.deallocate(5, pointer);
  (void)heap.trim(5);
  EXPECT_EQ(heap.stats().chunks, 0U) << "a chunk in no list is never given back";
  EXPECT_EQ(heap.stats().heaps, 1U);
}

TEST(HeapTable, what_ended_threads_left_empty_is_given_back_by_trim) {
  TestHeap heap;
  for (unsigned thread = 0; thread != 5; ++thread) {
    std::vector<void*> all;
    for (int i = 0; i != 500; ++i) all.push_back(heap.allocate(thread, 500));
    for (void* const pointer : all) heap.deallocate(thread, pointer);
  }
  for (unsigned thread = 0; thread != 5; ++thread) heap.exit_thread(thread);
  EXPECT_STREQ(heap.verify(), "");
  EXPECT_TRUE(heap.trim(6));
  EXPECT_EQ(heap.stats().chunks, 0U);
  EXPECT_FALSE(heap.trim(6));
  EXPECT_STREQ(heap.verify(), "");
}

TEST(HeapTable, other_threads_give_back_after_trim_when_they_call_in) {
  TestHeap heap;
  std::vector<void*> all;
  for (int i = 0; i != 2000; ++i) all.push_back(heap.allocate(0, 500));
  void* const other = heap.allocate(1, 500);
  for (void* const pointer : all) heap.deallocate(1, pointer);
  (void)heap.trim(1);
  EXPECT_GT(heap.stats().chunks, 10U) << "nobody may touch the heap of a thread";
  void* const fresh = heap.allocate(0, 20'000);
  EXPECT_LE(heap.stats().chunks, 2U);
  heap.deallocate(0, fresh);
  heap.deallocate(1, other);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(HeapTable, what_a_fork_left_empty_is_given_back_by_trim) {
  TestHeap heap;
  void* const mine = heap.allocate(0, 500);
  for (unsigned thread = 1; thread != 5; ++thread) heap.deallocate(thread, heap.allocate(thread, 500));
  void* const kept = heap.allocate(4, 500);
  heap.fork_child(0);
  EXPECT_TRUE(heap.trim(0));
  EXPECT_EQ(heap.stats().chunks, 2U) << "those with something live";
  EXPECT_STREQ(heap.verify(), "");
  heap.deallocate(0, kept);
  heap.deallocate(0, mine);
  EXPECT_TRUE(heap.trim(0));
  EXPECT_EQ(heap.stats().chunks, 0U);
  // Each of the lost heaps serves on, and serves one thread.
  for (unsigned thread = 1; thread != 5; ++thread) EXPECT_NE(heap.allocate(thread, 500), nullptr);
  EXPECT_EQ(heap.stats().heaps, 5U);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(HeapTable, trim_believes_no_header_that_was_changed) {
  const auto death_by = [](auto change) {
    TestHeap heap;
    std::vector<void*> slots;
    for (int i = 0; i != 2000; ++i) slots.push_back(heap.allocate(0, 100));
    change(*heap.place_of(slots.front()).chunk);
    return std::string(heap.death_of([&] { (void)heap.trim(0); }));
  };
  EXPECT_EQ(death_by([](Chunk&) {}), "none");
  EXPECT_EQ(death_by([](Chunk& chunk) { chunk.opened |= 1U << 20; }), "corrupt-header");
  EXPECT_EQ(death_by([](Chunk& chunk) { chunk.seal ^= 1; }), "corrupt-list");
}

TEST(HeapTable, trim_believes_no_word_that_was_changed) {
  for (const bool open : {true, false}) {
    TestHeap heap;
    std::vector<void*> slots;
    for (int i = 0; i != 200; ++i) slots.push_back(heap.allocate(0, 20'000));
    if (!open) heap.close_all(0);
    const test::Place place = heap.place_of(slots.front());
    place.line->live.fetch_and(~place.bit);
    EXPECT_STREQ(heap.death_of([&] { (void)heap.trim(0); }), "corrupt-bitmap") << open;
  }
}

TEST(HeapTable, trim_gives_back_whole_free_pages_between_live_slots) {
  if (test::kEmulated) GTEST_SKIP() << "mincore knows nothing of pages without access";
  TestHeap heap;
  std::vector<char*> kept;
  std::vector<char*> freed;
  for (int i = 0; i != 20'000; ++i) {
    auto* const pointer = static_cast<char*>(heap.allocate(0, 1000));
    std::memset(pointer, 7, 1000);
    (i % 100 == 0 ? kept : freed).push_back(pointer);
  }
  const auto resident = [&heap] {
    std::vector<unsigned char> pages(heap.region_bytes() / page_size());
    EXPECT_EQ(mincore(heap.region(), heap.region_bytes(), pages.data()), 0);
    return std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return (page & 1) != 0; });
  };
  for (char* const pointer : freed) heap.deallocate(0, pointer);
  const auto before = resident();
  EXPECT_TRUE(heap.trim(0));
  EXPECT_LT(resident(), before / 4);
  for (char* const pointer : kept) EXPECT_EQ(std::count(pointer, pointer + 1000, 7), 1000);
  for (int i = 0; i != 20'000; ++i) std::memset(heap.allocate(0, 1000), 8, 1000);
  for (char* const pointer : kept) EXPECT_EQ(std::count(pointer, pointer + 1000, 7), 1000);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(HeapTable, what_is_held_of_large_blocks_makes_room_for_a_heap_and_its_records) {
  for (const bool has_heap : {false, true}) {
    TestHeap heap({.options = options_of(Profile::fuzz)});
    if (has_heap) heap.deallocate(1, heap.allocate(1, 100));
    std::size_t bytes = heap.region_bytes();
    void* large = nullptr;
    while ((large = heap.allocate(0, bytes)) == nullptr) bytes -= kUnit / 16;
    heap.deallocate(0, large);
    {
      Allocator<InstanceStorage>& allocator = heap.allocator();
      const ArenaLocked<InstanceStorage> locked(allocator.arena, allocator.constants);
      while (allocator.arena.metadata(64) != nullptr) {
      }
    }
    const std::uint64_t held = heap.stats().mapped_bytes;
    ASSERT_GT(held, heap.region_bytes() / 8 * 7) << "the block is held";
    EXPECT_NE(heap.allocate(1, has_heap ? 5000 : 100), nullptr);
    EXPECT_LT(heap.stats().mapped_bytes, held / 2) << "and was needed";
  }
}

TEST(HeapTable, only_a_few_ended_threads_keep_empty_memory) {
  TestHeap heap;
  for (unsigned thread = 0; thread != 8; ++thread) {
    std::vector<void*> all;
    for (int i = 0; i != 500; ++i) all.push_back(heap.allocate(thread, 500));
    for (void* const pointer : all) heap.deallocate(thread, pointer);
  }
  const std::uint64_t before = heap.stats().chunks;
  for (unsigned thread = 0; thread != 8; ++thread) heap.exit_thread(thread);
  EXPECT_LE(2 * heap.stats().chunks, before);
}

TEST(HeapTable, trim_goes_on_after_an_orphan_that_has_nothing_to_give) {
  TestHeap heap;
  std::vector<void*> all[2];
  for (unsigned thread = 0; thread != 2; ++thread) {
    for (int i = 0; i != 100; ++i) all[thread].push_back(heap.allocate(thread, 500));
  }
  heap.exit_thread(0);
  heap.exit_thread(1);
  for (unsigned first = 0; first != 2; ++first) {
    // Of one heap a single slot is freed, which empties no chunk; of the other all that is left.
    heap.deallocate(5, all[first].back());
    all[first].pop_back();
  }
  for (void* const pointer : all[0]) heap.deallocate(5, pointer);
  EXPECT_TRUE(heap.trim(5));
  EXPECT_EQ(heap.stats().chunks, 1U);
  for (void* const pointer : all[1]) heap.deallocate(5, pointer);
  EXPECT_TRUE(heap.trim(5));
  EXPECT_EQ(heap.stats().chunks, 0U);
}

TEST(HeapTable, empty_memory_of_ended_threads_serves_before_memory_is_out) {
  for (const std::size_t size : Sizes{500, 1'000'000}) {
    TestHeap heap({.units = 128});
    (void)heap.allocate(1, 16);  // has a heap, and adopts none
    std::vector<void*> all;
    while (void* const pointer = heap.allocate(0, 600)) all.push_back(pointer);
    ASSERT_FALSE(all.empty());
    for (void* const pointer : all) heap.deallocate(0, pointer);
    heap.exit_thread(0);
    if (size <= kLargestSlot) {
      EXPECT_NE(heap.allocate(1, size), nullptr);
    } else {
      EXPECT_EQ(heap.allocate(1, size), nullptr) << "chunks keep their addresses: there is no room for a large block";
    }
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST(HeapTable, threads_that_come_and_go_cost_as_many_heaps_as_live_at_once) {
  TestHeap heap;
  for (int round = 0; round != 200; ++round) {
    for (unsigned thread = 0; thread != 3; ++thread) (void)heap.allocate(thread, 50);
    for (unsigned thread = 0; thread != 3; ++thread) heap.exit_thread(thread);
  }
  EXPECT_EQ(heap.stats().heaps, 3U);
  EXPECT_EQ(heap.stats().live_allocations, 600U);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(HeapTable, frees_into_a_heap_without_a_thread_wait_for_its_next_one) {
  TestHeap heap;
  std::vector<void*> all;
  for (int i = 0; i != 300; ++i) all.push_back(heap.allocate(0, 500));
  heap.exit_thread(0);
  for (void* const pointer : all) heap.deallocate(1, pointer);
  EXPECT_EQ(heap.stats().live_allocations, 0U);
  EXPECT_STREQ(heap.verify(), "");
  const std::uint64_t chunks = heap.stats().chunks;
  EXPECT_GT(chunks, 0U);
  // Whoever adopts it serves from them; whoever trims drains them.
  std::set<Chunk*> known;
  for (void* const pointer : all) known.insert(heap.place_of(pointer).chunk);
  EXPECT_EQ(known.count(heap.place_of(heap.allocate(2, 500)).chunk), 1U);
  heap.exit_thread(2);
  EXPECT_TRUE(heap.trim(1));
  EXPECT_LE(heap.stats().chunks, 1U);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(HeapTable, trim_drains_every_orphan) {
  TestHeap heap;
  std::vector<void*> all;
  for (unsigned thread = 0; thread != 4; ++thread) {
    for (int i = 0; i != 100; ++i) all.push_back(heap.allocate(thread, 500));
  }
  for (unsigned thread = 0; thread != 4; ++thread) heap.exit_thread(thread);
  for (void* const pointer : all) heap.deallocate(5, pointer);
  EXPECT_TRUE(heap.trim(5));
  EXPECT_EQ(heap.stats().chunks, 0U);
  EXPECT_STREQ(heap.verify(), "");
  // All four can be had again.
  for (unsigned thread = 0; thread != 4; ++thread) (void)heap.allocate(thread, 10);
  EXPECT_EQ(heap.stats().heaps, 4U);
}

TEST(HeapTable, memory_of_orphans_serves_before_memory_is_out) {
  TestHeap heap({.units = 128});
  std::vector<void*> all;
  while (void* const pointer = heap.allocate(0, 500)) all.push_back(pointer);
  (void)heap.allocate(1, 500);  // its heap, if it can be had
  heap.exit_thread(0);
  heap.exit_thread(1);
  for (void* const pointer : all) heap.deallocate(2, pointer);
  EXPECT_NE(heap.allocate(3, 500), nullptr);
  EXPECT_NE(heap.allocate(3, 400), nullptr) << "another class";
  EXPECT_STREQ(heap.verify(), "");
}

TestHeap::Setup borrowing() {
  TestHeap::Setup setup;
  setup.options.own_heaps = 1;  // thread 0's
  return setup;
}

TEST(SharedHeap, serves_the_first_allocations_of_many_threads_from_few_chunks) {
  TestHeap heap(borrowing());
  std::vector<std::pair<unsigned, void*>> all;
  std::set<void*> owners;
  for (unsigned thread = 0; thread != TestHeap::kThreads; ++thread) {
    for (const std::size_t size : Sizes{16, 200, 1000}) {
      for (int i = 0; i != 5; ++i) {
        void* const pointer = heap.allocate(thread, size);
        std::memset(pointer, 1, size);
        owners.insert(heap.place_of(pointer).chunk->owner);
        all.emplace_back(thread, pointer);
      }
    }
  }
  EXPECT_EQ(owners.erase(&heap.heap(0)), 1U);
  EXPECT_EQ(owners.size(), 1U);
  EXPECT_EQ(heap.stats().chunks, 6U) << "three of thread 0, and three for all the others";
  EXPECT_STREQ(heap.verify(), "");
  for (const auto& [thread, pointer] : all) heap.deallocate(thread, pointer);
  EXPECT_EQ(heap.stats().live_allocations, 0U);
  for (unsigned thread = 0; thread != TestHeap::kThreads; ++thread) {
    heap.exit_thread(thread);
    EXPECT_STREQ(heap.verify(), "");
  }
  // The last that borrowed has collected what they all freed.
  EXPECT_EQ(static_cast<ThreadHeap*>(*owners.begin())->inbox.load(), nullptr);
  (void)heap.trim(0);
  EXPECT_EQ(heap.stats().chunks, 0U);
}

TEST(SharedHeap, a_thread_that_goes_on_allocating_gets_chunks_of_its_own) {
  for (const auto& [size, few] : {std::pair<std::size_t, int>{16, 16}, {1024, 16}, {4096, 4}, {20'000, 1}}) {
    TestHeap heap(borrowing());
    (void)heap.allocate(0, 16);
    for (int i = 0; i != 40; ++i) {
      const auto place = heap.place_of(heap.allocate(1, size));
      EXPECT_EQ(place.chunk->owner == &heap.heap(1), i >= few) << size << ", allocation " << i;
    }
    // What has a chunk of a class never borrows in it again; another class begins anew.
    EXPECT_EQ(heap.place_of(heap.allocate_aligned(1, 16, size)).chunk->owner, &heap.heap(1));
    EXPECT_NE(heap.place_of(heap.allocate(1, 333)).chunk->owner, &heap.heap(1));
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST(SharedHeap, is_never_taken_over_and_its_place_among_the_orphans_costs_none_of_them) {
  TestHeap heap(borrowing());
  (void)heap.allocate(0, 100);
  void* const borrowed = heap.allocate(1, 100);
  auto* const shared = static_cast<ThreadHeap*>(heap.place_of(borrowed).chunk->owner);
  for (unsigned thread = 2; thread != TestHeap::kThreads; ++thread) {
    (void)heap.allocate(thread, 100);
    EXPECT_NE(&heap.heap(thread), shared);
  }
  const std::uint64_t heaps = heap.stats().heaps;
  for (int turn = 0; turn != 3; ++turn) {
    for (unsigned thread = 0; thread != TestHeap::kThreads; ++thread) heap.exit_thread(thread);
    for (unsigned thread = 0; thread != TestHeap::kThreads; ++thread) {
      (void)heap.allocate(thread, 100);
      EXPECT_NE(&heap.heap(thread), shared);
    }
  }
  EXPECT_EQ(heap.stats().heaps, heaps) << "each of them was found again";
  EXPECT_STREQ(heap.verify(), "");
}

TEST(SharedHeap, that_has_no_memory_leaves_it_to_the_threads_own) {
  // So little that the shared heap cannot have one more chunk, and a slot of thread 1's own is still free.
  TestHeap heap(borrowing());
  (void)heap.allocate(0, 100);
  std::vector<void*> own;
  while (own.size() != 17) own.push_back(heap.allocate(1, 20'000));
  ASSERT_EQ(heap.place_of(own.back()).chunk->owner, &heap.heap(1));
  heap.fails = [](SysCall) { return true; };
  while (heap.allocate(2, 20'000) != nullptr) {
  }
  EXPECT_STREQ(heap.verify(), "") << "and what was borrowed was returned";
  EXPECT_EQ(heap.heap(2).borrowed.load(), nullptr);
  heap.fails = nullptr;
  EXPECT_NE(heap.allocate(2, 20'000), nullptr);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(SharedHeap, serves_a_new_thread_whatever_the_heap_that_it_took_over_had_borrowed) {
  TestHeap heap(borrowing());
  (void)heap.allocate(0, 100);
  for (int i = 0; i != 16; ++i) heap.deallocate(1, heap.allocate(1, 100));
  ThreadHeap* const first = &heap.heap(1);
  heap.exit_thread(1);
  void* const pointer = heap.allocate(2, 100);
  ASSERT_EQ(&heap.heap(2), first);
  EXPECT_NE(heap.place_of(pointer).chunk->owner, first);
}

TEST(SharedHeap, a_double_free_dies_as_any_other) {
  TestHeap heap(borrowing());
  (void)heap.allocate(0, 100);
  void* const pointer = heap.allocate(1, 100);
  heap.deallocate(1, pointer);
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(1, pointer); }), "double-free");
}

/// Thread 1 is amid a call in the shared heap, from which it has `before` already.
ThreadHeap* enter_shared(TestHeap& heap, const void* before) {
  heap.heap(1).enter();
  ThreadHeap* const shared = heap.allocator().borrow_heap(heap.heap(1));
  EXPECT_EQ(shared, heap.place_of(before).chunk->owner);
  shared->enter();
  return shared;
}

TEST(SharedHeap, that_a_forking_handler_found_borrowed_goes_on_in_the_child) {
  TestHeap heap(borrowing());
  (void)heap.allocate(0, 100);
  void* const before = heap.allocate(1, 100);
  ThreadHeap* const shared = enter_shared(heap, before);
  // As if a signal handler forked while malloc worked in the shared heap.
  heap.fork_child(1);
  // In the child nobody may take it, nor sweep it, before the interrupted call is over.
  EXPECT_EQ(shared->generation.load(), heap.allocator().generation.load());
  for (unsigned thread = 2; thread != 5; ++thread) {
    void* const pointer = heap.allocate(thread, 100);
    EXPECT_NE(heap.place_of(pointer).chunk->owner, shared);
    EXPECT_NE(&heap.heap(thread), shared);
  }
  shared->leave();
  heap.allocator().return_heap(heap.heap(1));
  heap.heap(1).leave();
  EXPECT_STREQ(heap.verify(), "");
  heap.deallocate(1, before);
  EXPECT_NE(heap.allocate(1, 100), nullptr);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(SharedHeap, that_a_lost_thread_had_borrowed_is_swept_and_serves_on) {
  TestHeap heap(borrowing());
  (void)heap.allocate(0, 100);
  void* const before = heap.allocate(1, 100);
  ThreadHeap* const shared = enter_shared(heap, before);
  heap.fork_child(0);
  heap.deallocate(0, before);
  for (unsigned thread = 1; thread != 5; ++thread) {
    (void)heap.allocate(thread, 1 << 20);  // only takes over a heap
    EXPECT_EQ(heap.heap(thread).borrowed.load(), nullptr);
    EXPECT_NE(heap.allocate(thread, 100), nullptr);
  }
  EXPECT_STREQ(heap.verify(), "");
  (void)heap.trim(0);
  EXPECT_EQ(shared->generation.load(), heap.allocator().generation.load());
  EXPECT_STREQ(heap.verify(), "");
}

TEST(NestedHeap, a_call_inside_a_call_is_served_by_another_heap) {
  TestHeap heap;
  void* const outer = heap.allocate(0, 100);
  heap.heap(0).enter();  // as if a signal handler interrupted malloc
  void* const inner = heap.allocate(0, 100);
  ASSERT_NE(inner, nullptr);
  EXPECT_NE(heap.place_of(inner).chunk->owner, &heap.heap(0));
  heap.deallocate(0, outer);  // by the remote path: the heap is busy
  EXPECT_NE(heap.place_of(outer).line->done.load() & heap.place_of(outer).bit, 0U);
  heap.deallocate(0, inner);
  heap.heap(0).leave();
  EXPECT_STREQ(heap.verify(), "");
  EXPECT_EQ(heap.stats().live_allocations, 0U);
  EXPECT_EQ(heap.stats().heaps, 2U);
  // The next time the same one serves.
  heap.heap(0).enter();
  EXPECT_NE(heap.allocate(0, 100), nullptr);
  heap.heap(0).leave();
  EXPECT_EQ(heap.stats().heaps, 2U);
}

TEST(NestedHeap, calls_nest_to_any_depth) {
  TestHeap heap;
  (void)heap.allocate(0, 100);
  std::set<void*> owners;
  ThreadHeap* at = &heap.heap(0);
  for (int depth = 0; depth != 5; ++depth) {
    at->enter();
    void* const pointer = heap.allocate(0, 100);
    ASSERT_NE(pointer, nullptr);
    at = static_cast<ThreadHeap*>(heap.place_of(pointer).chunk->owner);
    EXPECT_TRUE(owners.insert(at).second);
  }
  for (ThreadHeap* busy = &heap.heap(0); busy != nullptr; busy = busy->nested.load()) busy->leave();
  EXPECT_STREQ(heap.verify(), "");
}

TEST(NestedHeap, goes_with_its_thread) {
  TestHeap heap;
  (void)heap.allocate(0, 100);
  heap.heap(0).enter();
  (void)heap.allocate(0, 100);
  heap.heap(0).leave();
  heap.exit_thread(0);
  (void)heap.allocate(1, 100);
  (void)heap.allocate(2, 100);
  EXPECT_EQ(heap.stats().heaps, 2U) << "both can be adopted";
  EXPECT_STREQ(heap.verify(), "");
}

TEST(ArenaLock, a_critical_section_entered_from_inside_dies_by_name) {
  TestHeap heap;
  (void)heap.allocate(0, 100);
  ASSERT_TRUE(heap.arena().lock.acquire());
  EXPECT_STREQ(heap.death_of([&] { (void)heap.allocate(1, 100); }), "reentered");
  heap.arena().lock.release();
}

}  // namespace
}  // namespace stave
