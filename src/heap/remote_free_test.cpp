// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Frees by threads that are not the owner: each transition, and other threads in the middle of it.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <initializer_list>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "heap/test_instance.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

using test::Place;
using test::TestHeap;

constexpr std::size_t kSize = 100;

enum State { kFree, kLive, kHeld, kMarked, kDone, kImpossible };

[[maybe_unused]] State state_of(const TestHeap& heap, const Place& place) {
  const bool live = (place.line->live.load() & place.bit) != 0;
  const bool held = (heap.held_in(place) & place.bit) != 0;
  const bool marked = (place.line->marked.load() & place.bit) != 0;
  const bool done = (place.line->done.load() & place.bit) != 0;
  if (live && !held && !marked && !done) return kLive;
  if (live && !held && marked && !done) return kMarked;
  if (live && !held && marked && done) return kDone;
  if (!live && held && !marked && !done) return kHeld;
  if (!live && !held && !marked && !done) return kFree;
  return kImpossible;
}

/// Whether a thread waits for the owner in the inbox.
bool in_inbox(TestHeap& heap, unsigned owner, const Chunk* chunk) {
  for (const Chunk* at = heap.heap(owner).inbox.load(); at != nullptr; at = at->inbox_next.load()) {
    if (at == chunk) return true;
  }
  return false;
}

void drain(TestHeap& heap, unsigned owner) {
  heap.heap(owner).enter();
  heap.allocator().drain_inbox(heap.heap(owner));
  heap.heap(owner).leave();
}

#if STAVE_YIELD_POINTS

TEST(RemoteFree, goes_from_live_by_marked_to_done_and_signals_last) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, kSize);
  const Place place = heap.place_of(pointer);
  std::vector<std::string> points;
  heap.on_yield = [&](std::string_view point) {
    points.emplace_back(point);
    const std::uint64_t pending = place.chunk->pending.load();
    if (point == "remote-free-before-mark") {
      EXPECT_EQ(state_of(heap, place), kLive);
      EXPECT_EQ(place.chunk->visited.load(), 1U) << "a fork from here on must look at the chunk";
      EXPECT_TRUE(heap.allocator().remote_seen.load());
    } else if (point == "remote-free-before-done") {
      EXPECT_EQ(state_of(heap, place), kMarked);
      EXPECT_EQ(pending, 0U);
    } else if (point == "remote-free-before-signal") {
      EXPECT_EQ(state_of(heap, place), kDone);
      EXPECT_EQ(pending, std::uint64_t{1} << place.line_index);
      EXPECT_FALSE(in_inbox(heap, 0, place.chunk));
    }
    EXPECT_STREQ(heap.verify(), "") << "at " << point;
  };
  heap.deallocate(1, pointer);
  EXPECT_EQ(points, (std::vector<std::string>{"remote-free-before-mark", "remote-free-before-done",
                                              "remote-free-before-signal"}));
  EXPECT_TRUE(in_inbox(heap, 0, place.chunk));
}

TEST(RemoteFree, collecting_goes_from_done_to_held) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, kSize);
  const Place place = heap.place_of(pointer);
  heap.deallocate(1, pointer);
  std::vector<std::string> points;
  heap.on_yield = [&](std::string_view point) {
    points.emplace_back(point);
    if (point == "collect-before-clear") {
      EXPECT_EQ(state_of(heap, place), kDone);
      EXPECT_EQ(place.chunk->pending.load(), 0U);
      EXPECT_EQ(heap.heap(0).inbox.load(), nullptr);
    } else if (point == "collect-before-unmark") {
      EXPECT_NE(heap.held_in(place) & place.bit, 0U);
      EXPECT_EQ(place.line->live.load() & place.bit, 0U);
      EXPECT_EQ(place.line->done.load() & place.bit, 0U);
      EXPECT_NE(place.line->marked.load() & place.bit, 0U) << "done goes before marked";
    }
  };
  drain(heap, 0);
  EXPECT_EQ(points,
            (std::vector<std::string>{"drain-before-pending", "collect-before-clear", "collect-before-unmark"}));
  EXPECT_EQ(state_of(heap, place), kHeld);
  EXPECT_STREQ(heap.verify(), "");
}

/// Acts once, the first time that the point is passed.
template <class Act>
void at(TestHeap& heap, std::string_view point, Act act) {
  heap.on_yield = [point, act, acted = false](std::string_view reached) mutable {
    if (acted || reached != point) return;
    acted = true;
    act();
  };
}

constexpr const char* kFreerPoints[] = {"remote-free-before-mark", "remote-free-before-done",
                                        "remote-free-before-signal"};
constexpr const char* kOwnerPoints[] = {"drain-before-pending", "collect-before-clear", "collect-before-unmark"};

TEST(RemoteFree, the_owner_may_do_anything_at_every_point_of_a_free) {
  for (const char* const point : kFreerPoints) {
    TestHeap heap;
    std::vector<void*> mine;
    for (int i = 0; i != 200; ++i) mine.push_back(heap.allocate(0, kSize));
    void* const pointer = mine.back();
    mine.pop_back();
    std::set<void*> handed;
    bool acted = false;
    at(heap, point, [&] {
      acted = true;
      for (void* const other : mine) heap.deallocate(0, other);
      drain(heap, 0);
      (void)heap.trim(0);
      for (int i = 0; i != 1000; ++i) handed.insert(heap.allocate(0, kSize));
      EXPECT_STREQ(heap.verify(), "") << point;
    });
    heap.deallocate(1, pointer);
    EXPECT_TRUE(acted);
    EXPECT_EQ(handed.size(), 1000U);
    EXPECT_EQ(handed.count(pointer), 0U) << "handed out amid its free, at " << point;
    // And afterwards it comes back.
    drain(heap, 0);
    EXPECT_EQ(state_of(heap, heap.place_of(pointer)), kHeld) << "lost at " << point;
    for (void* const other : handed) heap.deallocate(0, other);
    (void)heap.trim(0);
    EXPECT_EQ(heap.stats().chunks, 0U) << point;
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST(RemoteFree, another_freer_may_come_between_at_every_point) {
  for (const char* const point : kFreerPoints) {
    for (const bool same_word : {true, false}) {
      TestHeap heap;
      std::map<std::pair<Chunk*, std::uint32_t>, std::vector<void*>> words;
      for (int i = 0; i != 300; ++i) {
        void* const pointer = heap.allocate(0, kSize);
        const Place place = heap.place_of(pointer);
        words[{place.chunk, place.line_index}].push_back(pointer);
      }
      ASSERT_GE(words.size(), 2U);
      std::vector<void*>& word = words.begin()->second;
      std::vector<void*>& other = same_word ? word : std::next(words.begin())->second;
      void* const first = word.front();
      void* const second = other.back();
      at(heap, point, [&] { heap.deallocate(2, second); });
      heap.deallocate(1, first);
      EXPECT_STREQ(heap.verify(), "");
      drain(heap, 0);
      EXPECT_EQ(state_of(heap, heap.place_of(first)), kHeld) << point;
      EXPECT_EQ(state_of(heap, heap.place_of(second)), kHeld) << point;
      EXPECT_EQ(heap.stats().live_allocations, 298U);
      EXPECT_STREQ(heap.verify(), "");
    }
  }
}

TEST(RemoteFree, a_freer_may_come_at_every_point_of_a_collection) {
  for (const char* const point : kOwnerPoints) {
    TestHeap heap;
    std::vector<void*> pointers;
    for (int i = 0; i != 40; ++i) pointers.push_back(heap.allocate(0, kSize));
    heap.deallocate(1, pointers[0]);
    const Place place = heap.place_of(pointers[0]);
    bool acted = false;
    at(heap, point, [&] {
      acted = true;
      for (int i = 1; i != 40; ++i) heap.deallocate(2, pointers[static_cast<std::size_t>(i)]);
    });
    drain(heap, 0);
    EXPECT_TRUE(acted);
    EXPECT_STREQ(heap.verify(), "");
    drain(heap, 0);
    drain(heap, 0);
    for (void* const pointer : pointers) EXPECT_EQ(state_of(heap, heap.place_of(pointer)), kHeld) << point;
    EXPECT_EQ(heap.stats().live_allocations, 0U);
    EXPECT_EQ(place.chunk->pending.load(), 0U);
    EXPECT_EQ(heap.heap(0).inbox.load(), nullptr);
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST(RemoteFree, a_second_free_at_every_point_kills_one_of_the_two) {
  // Whoever comes second dies, or the first when it finds that it came second.
  for (const char* const point : kFreerPoints) {
    for (const unsigned second : {0U, 2U}) {
      TestHeap heap;
      std::vector<void*> others;
      void* const pointer = heap.allocate(0, kSize);
      for (int i = 0; i != 100; ++i) others.push_back(heap.allocate(0, kSize));
      at(heap, point, [&] { heap.deallocate(second, pointer); });
      EXPECT_STREQ(heap.death_of([&] { heap.deallocate(1, pointer); }), "double-free") << point << " by " << second;
    }
  }
}

TEST(RemoteFree, a_second_free_of_a_large_block_before_the_lock_kills_the_first) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, 400000);
  at(heap, "free-before-lock", [&] { heap.deallocate(0, pointer); });
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(1, pointer); }), "double-free");
}

TEST(RemoteFree, the_release_of_a_chunk_waits_for_a_freer_that_has_not_signalled) {
  TestHeap heap;
  std::vector<void*> all;
  while (heap.stats().chunks < 3) all.push_back(heap.allocate(0, 1000));
  void* const last = all.front();
  Chunk* const chunk = heap.place_of(last).chunk;
  bool acted = false;
  at(heap, "remote-free-before-signal", [&] {
    acted = true;
    for (void* const pointer : all) {
      if (pointer != last) heap.deallocate(0, pointer);
    }
    (void)heap.trim(0);
    EXPECT_TRUE(heap.entry(chunk).is_chunk()) << "the freer is about to write into it";
  });
  heap.deallocate(1, last);
  EXPECT_TRUE(acted);
  EXPECT_TRUE(heap.trim(0));
  EXPECT_EQ(heap.entry(chunk).kind(), UnitKind::vacant);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(RemoteFree, an_owner_that_ends_at_any_point_loses_nothing) {
  for (const char* const point : kFreerPoints) {
    TestHeap heap;
    std::vector<void*> pointers;
    for (int i = 0; i != 50; ++i) pointers.push_back(heap.allocate(0, kSize));
    at(heap, point, [&] {
      heap.exit_thread(0);
      // Another thread takes the heap over, and works in it.
      for (int i = 0; i != 50; ++i) pointers.push_back(heap.allocate(3, kSize));
    });
    heap.deallocate(1, pointers[0]);
    EXPECT_STREQ(heap.verify(), "") << point;
    for (std::size_t i = 1; i != pointers.size(); ++i) heap.deallocate(1, pointers[i]);
    (void)heap.trim(3);
    EXPECT_EQ(heap.stats().live_allocations, 0U);
    EXPECT_EQ(heap.stats().chunks, 0U) << point;
    EXPECT_EQ(heap.stats().heaps, 1U);
  }
}

#endif

TEST(RemoteFree, the_first_of_its_word_says_so_and_the_first_of_its_chunk_signals) {
  TestHeap heap;
  std::vector<void*> pointers;
  for (int i = 0; i != 300; ++i) pointers.push_back(heap.allocate(0, kSize));
  Chunk* const chunk = heap.place_of(pointers[0]).chunk;
  std::uint64_t words = 0;
  for (void* const pointer : pointers) {
    const Place place = heap.place_of(pointer);
    if (place.chunk != chunk) continue;
    heap.deallocate(1, pointer);
    words |= std::uint64_t{1} << place.line_index;
    EXPECT_EQ(chunk->pending.load(), words);
    EXPECT_TRUE(in_inbox(heap, 0, chunk));
    EXPECT_EQ(chunk->inbox_next.load(), nullptr) << "pushed once";
  }
  EXPECT_GT(std::popcount(words), 1);
}

TEST(RemoteFree, many_chunks_wait_in_one_inbox) {
  TestHeap heap;
  std::vector<void*> pointers;
  for (int i = 0; i != 1000; ++i) pointers.push_back(heap.allocate(0, 64 + static_cast<std::size_t>(i % 20) * 100));
  std::set<Chunk*> chunks;
  for (void* const pointer : pointers) {
    heap.deallocate(1 + static_cast<unsigned>(address_of(pointer) / 64 % 3), pointer);
    chunks.insert(heap.place_of(pointer).chunk);
  }
  for (Chunk* const chunk : chunks) EXPECT_TRUE(in_inbox(heap, 0, chunk));
  EXPECT_EQ(heap.stats().live_allocations, 0U);
  drain(heap, 0);
  EXPECT_EQ(heap.heap(0).inbox.load(), nullptr);
  EXPECT_STREQ(heap.verify(), "");
  (void)heap.trim(0);
  EXPECT_EQ(heap.stats().chunks, 0U);
}

TEST(RemoteFree, what_others_freed_serves_the_owner_again) {
  TestHeap heap;
  std::set<void*> seen;
  for (int round = 0; round != 200; ++round) {
    std::vector<void*> batch;
    for (int i = 0; i != 100; ++i) batch.push_back(heap.allocate(0, kSize));
    seen.insert(batch.begin(), batch.end());
    for (void* const pointer : batch) heap.deallocate(1, pointer);
  }
  EXPECT_LE(heap.stats().chunks, 2U) << "20,000 allocations of which 100 live at once";
  EXPECT_LE(seen.size(), 700U);
  EXPECT_STREQ(heap.verify(), "");
}

// --- double frees ----------------------------------------------------------------------------------------------------

/// First and second free of one slot, and what happens in between.
struct Order {
  unsigned first;
  unsigned second;
};

class DoubleFree : public testing::TestWithParam<Order> {};
INSTANTIATE_TEST_SUITE_P(Orders, DoubleFree,
                         testing::Values(Order{0, 0}, Order{0, 1}, Order{1, 0}, Order{1, 1}, Order{1, 2}),
                         [](const auto& order) {
                           return std::string(order.param.first == 0 ? "local_" : "remote_") +
                                  (order.param.second == 0 ? "local"
                                   : order.param.first == 0 || order.param.second == order.param.first
                                       ? "remote"
                                       : "other_remote");
                         });

TEST_P(DoubleFree, at_once_kills) {
  for (const std::size_t size : Sizes{16, 100, 20'000}) {
    TestHeap heap;
    void* const pointer = heap.allocate(0, size);
    heap.deallocate(GetParam().first, pointer);
    EXPECT_STREQ(heap.death_of([&] { heap.deallocate(GetParam().second, pointer); }), "double-free") << size;
  }
}

TEST_P(DoubleFree, in_a_word_that_is_not_open_kills) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, kSize);
  heap.close_all(0);
  heap.deallocate(GetParam().first, pointer);
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(GetParam().second, pointer); }), "double-free");
}

TEST_P(DoubleFree, after_collection_kills) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, kSize);
  heap.deallocate(GetParam().first, pointer);
  drain(heap, 0);
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(GetParam().second, pointer); }), "double-free");
}

TEST_P(DoubleFree, after_the_owner_ended_kills) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, kSize);
  void* const keeps_the_chunk = heap.allocate(0, kSize);
  ASSERT_NE(keeps_the_chunk, nullptr);
  heap.deallocate(GetParam().first, pointer);
  heap.exit_thread(0);
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(GetParam().second, pointer); }), "double-free");
}

TEST_P(DoubleFree, in_a_chunk_that_went_kills) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, kSize);
  heap.deallocate(GetParam().first, pointer);
  (void)heap.trim(0);
  ASSERT_EQ(heap.entry(pointer).kind(), UnitKind::vacant);
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(GetParam().second, pointer); }), "double-free");
}

TEST_P(DoubleFree, and_other_uses_of_a_freed_slot_kill) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, kSize);
  heap.deallocate(GetParam().first, pointer);
  EXPECT_STREQ(heap.death_of([&] { (void)heap.usable_size(pointer); }), "freed-pointer");
}

// --- damage ----------------------------------------------------------------------------------------------------------

TEST(Collect, dies_of_words_that_do_not_fit_together) {
  const auto death = [](auto damage, bool open) {
    TestHeap heap;
    void* const pointer = heap.allocate(0, kSize);
    void* const other = heap.allocate(0, kSize);
    if (!open) heap.close_all(0);
    heap.deallocate(1, pointer);
    damage(heap, heap.place_of(pointer), heap.place_of(other));
    return std::string(heap.death_of([&] { drain(heap, 0); }));
  };
  for (const bool open : {true, false}) {
    EXPECT_EQ(death([](TestHeap&, const Place&, const Place&) {}, open), "none");
    EXPECT_EQ(death([](TestHeap&, const Place& place, const Place&) { place.line->marked.store(0); }, open),
              "corrupt-bitmap");
    EXPECT_EQ(
        death([](TestHeap&, const Place& place, const Place& other) { place.line->done.fetch_or(other.bit); }, open),
        "corrupt-bitmap")
        << "done without mark";
    EXPECT_EQ(death([](TestHeap&, const Place& place, const Place&) { place.line->live.fetch_and(~place.bit); }, open),
              "corrupt-bitmap");
    EXPECT_EQ(
        death([](TestHeap&, const Place& place, const Place&) { place.line->held |= std::uint64_t{1} << 63; }, open),
        "corrupt-bitmap");
    EXPECT_EQ(death([](TestHeap&, const Place& place,
                       const Place&) { place.chunk->pending.fetch_or(std::uint64_t{1} << 63); },
                    open),
              "corrupt-bitmap")
        << "a word that the chunk does not have";
  }
  EXPECT_EQ(death([](TestHeap&, const Place& place, const Place&) { place.line->guard ^= 1; }, false),
            "corrupt-bitmap");
}

TEST(Collect, dies_of_an_inbox_that_leads_elsewhere) {
  const auto death = [](auto damage) {
    TestHeap heap;
    void* const pointer = heap.allocate(0, kSize);
    heap.deallocate(1, pointer);
    damage(heap, heap.place_of(pointer));
    return std::string(heap.death_of([&] { drain(heap, 0); }));
  };
  static Chunk forged;
  EXPECT_EQ(death([](TestHeap&, const Place& place) { place.chunk->inbox_next.store(&forged); }), "corrupt-list");
  EXPECT_EQ(death([](TestHeap& heap, const Place&) { heap.heap(0).inbox.store(&forged); }), "corrupt-list");
  EXPECT_EQ(death([](TestHeap& heap, const Place&) {
              heap.heap(0).inbox.store(static_cast<Chunk*>(heap.allocate(0, 1000)));
            }),
            "corrupt-list");
  EXPECT_EQ(death([](TestHeap& heap, const Place& place) {
              place.chunk->inbox_next.store(heap.place_of(heap.allocate(1, kSize)).chunk);  // another heap's
            }),
            "corrupt-list");
  EXPECT_EQ(death([](TestHeap&, const Place& place) { place.chunk->seal ^= 1; }), "corrupt-list");
  EXPECT_EQ(death([](TestHeap&, const Place& place) { place.chunk->inbox_next.store(place.chunk); }), "corrupt-bitmap")
      << "in a circle";
}

TEST(RemoteFree, verifies_the_header_before_it_believes_it) {
  for (const unsigned thread : {0U, 1U}) {
    TestHeap heap;
    void* const pointer = heap.allocate(0, kSize);
    heap.close_all(0);
    heap.place_of(pointer).chunk->seal ^= 1;
    EXPECT_STREQ(heap.death_of([&] { heap.deallocate(thread, pointer); }), "corrupt-header");
  }
  TestHeap heap;
  void* const pointer = heap.allocate(0, kSize);
  heap.place_of(pointer).chunk->owner = nullptr;
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(1, pointer); }), "corrupt-header");
}

TEST(LocalFree, verifies_header_and_bitmap_open_or_not) {
  const auto death = [](auto damage, bool open) {
    TestHeap heap;
    void* const pointer = heap.allocate(0, kSize);
    if (!open) heap.close_all(0);
    damage(heap.place_of(pointer));
    return std::string(heap.death_of([&] { heap.deallocate(0, pointer); }));
  };
  for (const bool open : {true, false}) {
    EXPECT_EQ(death([](const Place&) {}, open), "none");
    EXPECT_EQ(death([](const Place& place) { place.chunk->seal ^= 1; }, open), "corrupt-header");
    EXPECT_EQ(death([](const Place& place) { place.chunk->owner = place.chunk; }, open), "corrupt-header");
    EXPECT_EQ(death([](const Place& place) { place.line->held |= std::uint64_t{1} << 63; }, open), "corrupt-bitmap");
    EXPECT_EQ(death([](const Place& place) { place.line->live.fetch_or(std::uint64_t{1} << 63); }, open),
              "corrupt-bitmap");
    EXPECT_EQ(death([](const Place& place) { place.line->marked.fetch_or(place.bit); }, open), "double-free");
    EXPECT_EQ(death([](const Place& place) { place.line->live.fetch_and(~place.bit); }, open), "double-free");
  }
  EXPECT_EQ(death([](const Place& place) { place.line->guard ^= 1; }, false), "corrupt-bitmap");
}

// --- real threads ----------------------------------------------------------------------------------------------------

TEST(RemoteFree, threads_free_for_one_another_and_nothing_is_lost) {
  TestHeap heap;
  constexpr unsigned kWorkers = 3;
  constexpr int kRounds = 300;
  // Each allocates, marks what it has with its own pattern, and passes it on to the next by a slot of an array.
  std::array<std::array<std::atomic<unsigned char*>, 64>, kWorkers> mail{};
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  for (unsigned me = 0; me != kWorkers; ++me)
    ASSERT_NE(heap.allocate(me, 1), nullptr);  // heaps are made under no race of ours
  for (unsigned me = 0; me != kWorkers; ++me) {
    threads.emplace_back([&, me] {
      while (!go.load()) std::this_thread::yield();
      std::mt19937 random(me);
      for (int round = 0; round != kRounds; ++round) {
        for (auto& box : mail[(me + 1) % kWorkers]) {
          const std::size_t size = 32 + random() % 200;
          auto* const block = static_cast<unsigned char*>(heap.allocate(me, size));
          std::memset(block, 0x40 + static_cast<int>(me), 32);
          if (unsigned char* const old = box.exchange(block, std::memory_order_acq_rel)) {
            for (int i = 0; i != 32; ++i) ASSERT_EQ(old[i], 0x40 + me);
            heap.deallocate(me, old);
          }
        }
        for (auto& box : mail[me]) {
          if (unsigned char* const got = box.exchange(nullptr, std::memory_order_acq_rel)) {
            for (int i = 0; i != 32; ++i) ASSERT_EQ(got[i], 0x40 + (me + kWorkers - 1) % kWorkers);
            heap.deallocate(me, got);
          }
        }
      }
    });
  }
  go.store(true);
  for (std::thread& thread : threads) thread.join();
  for (auto& boxes : mail) {
    for (auto& box : boxes) heap.deallocate(0, box.load());
  }
  EXPECT_STREQ(heap.verify(), "");
  EXPECT_EQ(heap.stats().live_allocations, kWorkers);
}

/// Threads end and others take their heaps over, while everybody frees what everybody allocated.
TEST(RemoteFree, threads_that_come_and_go_lose_nothing) {
  TestHeap heap;
  constexpr unsigned kWorkers = 4;
  constexpr int kLives = 40;
  constexpr int kRounds = 400;
  constexpr std::size_t kBoxes = 96;
  struct Block {
    std::uint32_t size;
    unsigned char fill;
  };
  std::array<std::atomic<unsigned char*>, kBoxes> boxes{};
  const auto make = [&](unsigned me, std::size_t size) {
    auto* const block = static_cast<unsigned char*>(heap.allocate(me, size));
    if (block == nullptr) std::abort();
    const Block head{static_cast<std::uint32_t>(size), static_cast<unsigned char>(0x60 + me)};
    std::memcpy(block, &head, sizeof head);
    std::memset(block + sizeof head, head.fill, size - sizeof head);
    return block;
  };
  const auto check = [](const unsigned char* block) {
    Block head{};
    std::memcpy(&head, block, sizeof head);
    for (std::size_t at = sizeof head; at < head.size; at += 7) ASSERT_EQ(block[at], head.fill);
  };
  std::vector<std::thread> slots;
  for (unsigned me = 0; me != kWorkers; ++me) {
    slots.emplace_back([&, me] {
      std::mt19937 random(me + 1);
      for (int life = 0; life != kLives; ++life) {
        std::thread([&] {
          for (int round = 0; round != kRounds; ++round) {
            const std::size_t size = random() % 50 == 0 ? 300'000 : random() % 10 == 0 ? 20'000 : 16 + random() % 900;
            unsigned char* block = make(me, size);
            if (random() % 8 == 0) {
              const std::size_t other = 16 + random() % 3000;
              block = static_cast<unsigned char*>(heap.reallocate(me, block, other));
              Block head{};
              std::memcpy(&head, block, sizeof head);
              if (other > head.size) std::memset(block + head.size, head.fill, other - head.size);
              head.size = static_cast<std::uint32_t>(other);
              std::memcpy(block, &head, sizeof head);
            }
            block = boxes[random() % kBoxes].exchange(block, std::memory_order_acq_rel);
            if (block == nullptr) continue;
            check(block);
            heap.deallocate(me, block);
          }
          if (life % 8 == 0) (void)heap.trim(me);
          heap.exit_thread(me);
        }).join();
      }
    });
  }
  for (std::thread& slot : slots) slot.join();
  for (auto& box : boxes) {
    if (unsigned char* const block = box.load()) {
      check(block);
      heap.deallocate(0, block);
    }
  }
  heap.exit_thread(0);
  EXPECT_LE(heap.stats().heaps, 2 * kWorkers) << "one each, and what trim had claimed meanwhile";
  (void)heap.trim(0);
  EXPECT_STREQ(heap.verify(), "");
  EXPECT_EQ(heap.stats().live_allocations, 0U);
  EXPECT_EQ(heap.stats().chunks, 0U);
}

}  // namespace
}  // namespace stave
