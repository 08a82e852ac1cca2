// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the child of a fork finds: heaps torn at every step that fork.cpp names, written by hand into the words.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "heap/test_instance.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

using test::Place;
using test::TestHeap;

constexpr std::size_t kSize = 100;

/// Thread 0 is lost in the fork, thread 1 survives. Thread 0 has live, held and free slots in its words.
class Torn : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    own_ = heap_.allocate(1, kSize);
    std::vector<void*> freed;
    for (int i = 0; i != 90; ++i) {
      void* const pointer = heap_.allocate(0, kSize);
      std::memset(pointer, i, kSize);
      (i % 3 == 0 ? freed : kept_).push_back(pointer);
    }
    for (void* const pointer : freed) heap_.deallocate(0, pointer);
    // The word that will be torn: the one that serves, with candidates left.
    while (open_slots().size() < 4 || std::popcount(cursor().offered()) < 4) kept_.push_back(heap_.allocate(0, kSize));
    slots_ = open_slots();
    place_ = heap_.place_of(slots_[0]);
    offered_ = cursor().offered();
    record_ = heap_.record_of(place_);
    ASSERT_NE(record_, nullptr);
    if (!open()) heap_.close_all(0);
    ASSERT_STREQ(heap_.verify(), "");
    before_ = heap_.stats().live_allocations;
  }

  [[nodiscard]] static bool open() { return GetParam(); }
  [[nodiscard]] Cursor& cursor() { return heap_.heap(0).cursors[size_class_for(kSize)]; }
  [[nodiscard]] std::vector<void*> open_slots() {
    std::vector<void*> found;
    for (void* const pointer : kept_) {
      if (heap_.serves(heap_.place_of(pointer))) found.push_back(pointer);
    }
    return found;
  }
  [[nodiscard]] std::uint64_t bit(std::size_t slot) const { return heap_.place_of(slots_[slot]).bit; }
  [[nodiscard]] SlotLine& line() const { return *place_.line; }
  /// A free up to the point where the slots are not live any more.
  void clear(std::uint64_t slots) {
    line().canary.fetch_and(~slots);
    for (std::uint32_t i = 0; i != 64; ++i) {
      if ((slots >> i & 1) == 0) continue;
      zero_slot({}, heap_.slot_of(place_, place_.line_index * 64 + i), kSlotSizes[place_.cls]);
    }
    line().live.fetch_and(~slots);
  }
  void forget(void* pointer) { kept_.erase(std::find(kept_.begin(), kept_.end(), pointer)); }

  /// The heap after the fork: in use by others, nothing lost, and all of it there for others in the end.
  /// \param live  slots that are live and nobody's: their thread had them half handed out.
  void expect_whole(std::uint64_t live = 0) {
    heap_.fork_child(1);
    EXPECT_STREQ(heap_.verify(), "") << "what is not swept is not judged";
    // A free into it sweeps it; so does adopting it. Each in its turn.
    if (sweep_by_free_) {
      heap_.deallocate(1, kept_.back());
      kept_.pop_back();
      ASSERT_STREQ(heap_.verify(), "");
    }
    std::set<void*> fresh;
    for (int i = 0; i != 400; ++i) {
      void* const pointer = heap_.allocate(2, kSize);
      ASSERT_NE(pointer, nullptr);
      ASSERT_TRUE(fresh.insert(pointer).second);
    }
    ASSERT_STREQ(heap_.verify(), "");
    EXPECT_EQ(heap_.stats().heaps, 2U) << "the lost thread's heap serves on";
    for (void* const pointer : kept_) {
      EXPECT_EQ(fresh.count(pointer), 0U) << "a live slot was handed out again";
      EXPECT_EQ(heap_.usable_size(pointer), heap_.usable_for(kSize));
    }
    EXPECT_EQ(heap_.stats().live_allocations, kept_.size() + 1 + fresh.size() + live);
    for (void* const pointer : kept_) heap_.deallocate(2, pointer);
    for (void* const pointer : fresh) heap_.deallocate(1, pointer);
    heap_.deallocate(1, own_);
    (void)heap_.trim(2);
    (void)heap_.trim(1);
    EXPECT_EQ(heap_.stats().live_allocations, live);
    EXPECT_EQ(heap_.stats().chunks, live) << "a chunk was lost, or kept for nothing";
    EXPECT_STREQ(heap_.verify(), "");
  }

  /// What the first use after the fork dies of.
  std::string death() {
    heap_.fork_child(1);
    return heap_.death_of([&] { (void)heap_.allocate(2, kSize); });
  }

  TestHeap heap_;
  std::vector<void*> kept_;
  std::vector<void*> slots_;  ///< live ones of the word to tear
  void* own_ = nullptr;
  Place place_{};
  OpenChunk* record_ = nullptr;  ///< of its chunk, or what was that
  std::uint64_t offered_ = 0;
  std::uint64_t before_ = 0;
  bool sweep_by_free_ = false;
};
INSTANTIATE_TEST_SUITE_P(Words, Torn, testing::Bool(), [](const auto& open) { return open.param ? "open" : "closed"; });

TEST_P(Torn, nowhere) { expect_whole(); }

TEST_P(Torn, nowhere_and_swept_by_a_free) {
  sweep_by_free_ = true;
  expect_whole();
}

TEST_P(Torn, amid_a_hand_out) {
  if (!open()) return;  // slots are handed out of open chunks only
  const std::uint64_t taken = offered_ & (~offered_ + 1);
  line().live.fetch_or(taken);
  heap_.heap(0).enter();
  expect_whole(1);
}

TEST_P(Torn, amid_a_hand_out_before_anything_was_written) {
  if (!open()) return;
  heap_.heap(0).enter();
  expect_whole();
}

TEST_P(Torn, amid_a_hand_out_before_the_canary_counts) {
  if (!open()) return;
  const std::uint64_t taken = offered_ & (~offered_ + 1);
  line().live.fetch_or(taken);
  const auto index = place_.line_index * 64 + static_cast<std::uint32_t>(std::countr_zero(taken));
  *canary_place(heap_.slot_of(place_, index), kSlotSizes[place_.cls]) = 0x1234567800;  // maybe not all of it arrived
  heap_.heap(0).enter();
  expect_whole(1);
}

TEST_P(Torn, in_a_local_free_while_the_slot_was_being_zeroed) {
  line().canary.fetch_and(~bit(0));
  std::memset(slots_[0], 0, 40);
  forget(slots_[0]);
  heap_.heap(0).enter();
  expect_whole(1);
}

TEST_P(Torn, in_a_local_free_after_live_was_cleared) {
  clear(bit(0));
  forget(slots_[0]);
  expect_whole();
}

TEST_P(Torn, in_a_local_free_after_held_was_set) {
  if (open()) return;  // the held bits of an open word are 0
  clear(bit(0));
  line().held |= bit(0);
  forget(slots_[0]);
  expect_whole();
}

TEST_P(Torn, in_a_local_free_before_the_count) {
  clear(bit(0));
  if (!open()) line().held |= bit(0);
  heap_.bless(place_);
  forget(slots_[0]);
  expect_whole();
}

TEST_P(Torn, at_every_step_of_a_free_by_another_thread) {
  // A freer that is lost: marked; done; done and pending; done, pending and half in the inbox.
  line().marked.fetch_or(bit(0) | bit(1) | bit(2));
  line().done.fetch_or(bit(1) | bit(2));
  place_.chunk->visited.store(1);
  place_.chunk->pending.fetch_or(std::uint64_t{1} << place_.line_index);
  place_.chunk->inbox_next.store(reinterpret_cast<Chunk*>(0x1234));
  for (std::size_t i = 0; i != 3; ++i) forget(slots_[i]);
  expect_whole();
}

/// Steps of collect_word, each a prefix: live, held (of a closed word), guard or copy, done, marked.
class TornCollection : public Torn {};
INSTANTIATE_TEST_SUITE_P(Words, TornCollection, testing::Bool(),
                         [](const auto& open) { return open.param ? "open" : "closed"; });

#define STAVE_TORN_COLLECTION(name, steps)                                     \
  TEST_P(TornCollection, name) {                                               \
    const std::uint64_t collected = bit(0) | bit(1);                           \
    const std::uint64_t newer = bit(2);                                        \
    heap_.deallocate(1, slots_[0]);                                            \
    heap_.deallocate(1, slots_[1]);                                            \
    heap_.deallocate(1, slots_[2]); /* came while the others were collected */ \
    ASSERT_EQ(line().done.load(), collected | newer);                          \
    place_.chunk->pending.store(0);                                            \
    heap_.heap(0).inbox.store(nullptr);                                        \
    const int done_steps = steps;                                              \
    if (done_steps >= 1) clear(collected);                                     \
    if (done_steps >= 2 && !open()) line().held |= collected;                  \
    if (done_steps >= 3) heap_.bless(place_);                                  \
    if (done_steps >= 4) line().done.fetch_and(~collected);                    \
    if (done_steps >= 5) line().marked.fetch_and(~collected);                  \
    for (std::size_t i = 0; i != 3; ++i) forget(slots_[i]);                    \
    expect_whole();                                                            \
  }
STAVE_TORN_COLLECTION(before_anything, 0)
STAVE_TORN_COLLECTION(after_live, 1)
STAVE_TORN_COLLECTION(after_held, 2)
STAVE_TORN_COLLECTION(after_the_guard, 3)
STAVE_TORN_COLLECTION(after_done, 4)
STAVE_TORN_COLLECTION(after_marked, 5)
#undef STAVE_TORN_COLLECTION

TEST_P(Torn, amid_opening_a_chunk) {
  if (open()) return;
  // All of the record is written but its chunk, which is last.
  record_->words()[place_.line_index] = {.live = 12345, .fresh = 678};
  record_->slots_bytes = 4096;
  ASSERT_EQ(record_->chunk, nullptr);
  expect_whole();
}

TEST_P(Torn, just_after_opening_a_chunk) {
  if (!open()) return;
  // The held bits are there still, and the guard words hold. Nothing was handed out or taken back meanwhile.
  heap_.close_all(0);
  record_->chunk = place_.chunk;
  ASSERT_TRUE(heap_.is_open(place_));
  ASSERT_NE(line().held, 0U);
  expect_whole();
}

TEST_P(Torn, amid_closing_a_word) {
  if (!open()) return;
  const std::uint64_t held = heap_.held_in(place_);
  ASSERT_NE(held, 0U);
  line().guard = guard_word(heap_.constants().keys.bitmap, &line(), line().live.load(), held);
  expect_whole();
}

TEST_P(Torn, closing_a_chunk_before_its_record_is_free) {
  if (!open()) return;
  const std::uint64_t held = heap_.held_in(place_);
  line().guard = guard_word(heap_.constants().keys.bitmap, &line(), line().live.load(), held);
  line().held = held;
  expect_whole();
}

TEST_P(Torn, with_a_record_that_is_not_counted_yet) {
  if (open()) return;  // it has no chunk yet
  --heap_.heap(0).classes[place_.cls].record_count;
  expect_whole();
}

TEST_P(Torn, in_its_lists_and_counts) {
  ThreadHeap& lost = heap_.heap(0);
  heap_.arena().for_each_chunk([&](Chunk* chunk) {
    if (chunk->owner != &lost) return;
    chunk->next = nullptr;
    chunk->previous = reinterpret_cast<Chunk*>(0x4141);
    chunk->until_notified = 77777;
    chunk->notify_at = 1;
    chunk->cursor = 999;
    chunk->place = Chunk::Place::full;
  });
  for (ClassChunks& chunks : lost.classes) {
    chunks.usable = reinterpret_cast<Chunk*>(0x4242);
    chunks.full = nullptr;
    chunks.chunks = 9;
    chunks.empty = 8;
  }
  lost.inbox.store(reinterpret_cast<Chunk*>(0x4343));
  lost.enter();
  expect_whole();
}

TEST_P(Torn, with_a_chunk_that_was_acquired_and_not_filed_yet) {
  Chunk* const chunk = heap_.arena().acquire_chunk(size_class_for(5000), &heap_.heap(0));
  ASSERT_NE(chunk, nullptr);
  expect_whole();
}

TEST_P(Torn, with_many_slots_marked_by_lost_freers) {
  std::size_t freed = 0;
  for (std::size_t i = 0; i + 1 < kept_.size(); ++freed) {
    heap_.deallocate(1, kept_[i]);  // done and signalled, never collected
    kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(i));
    if (freed % 2 == 0) ++i;
  }
  expect_whole();
}

// --- states that no fork can leave
// ------------------------------------------------------------------------------------

TEST_P(Torn, by_nobody_is_corrupt_two_bits_of_live) {
  line().live.fetch_and(~(bit(0) | bit(1)));
  EXPECT_EQ(death(), "corrupt-bitmap");
}

TEST_P(Torn, by_nobody_is_corrupt_two_bits_from_live_to_held) {
  line().live.fetch_and(~(bit(0) | bit(1)));
  line().held |= bit(0) | bit(1);
  EXPECT_EQ(death(), "corrupt-bitmap");
}

TEST_P(Torn, by_nobody_is_corrupt_a_held_bit_gone) {
  if (open()) return;  // it has none
  ASSERT_NE(line().held, 0U);
  line().held &= line().held - 1;
  EXPECT_EQ(death(), "corrupt-bitmap");
}

TEST_P(Torn, by_nobody_is_corrupt_held_of_a_live_slot) {
  line().held |= bit(0);
  EXPECT_EQ(death(), "corrupt-bitmap");
}

TEST_P(Torn, by_nobody_is_corrupt_done_without_mark) {
  line().done.fetch_or(bit(0));
  EXPECT_EQ(death(), "corrupt-bitmap");
}

TEST_P(Torn, by_nobody_is_corrupt_the_guard_word) {
  if (open()) {
    record_->words()[place_.line_index].live ^= 0xf;
  } else {
    line().guard ^= 2;
  }
  EXPECT_EQ(death(), "corrupt-bitmap");
}

TEST_P(Torn, by_nobody_is_corrupt_the_header) {
  place_.chunk->seal ^= 1;
  EXPECT_EQ(death(), "corrupt-header");
}

TEST_P(Torn, by_nobody_is_corrupt_a_live_bit_set_in_a_closed_word) {
  if (open()) return;  // there it is a hand-out
  const std::uint64_t free = ~(line().live.load() | line().held);
  line().live.fetch_or(free & (~free + 1));
  EXPECT_EQ(death(), "corrupt-bitmap");
}

TEST_P(Torn, by_nobody_is_corrupt_collected_bits_that_were_not_done) {
  heap_.deallocate(1, slots_[0]);
  line().live.fetch_and(~(bit(0) | bit(1) | bit(2)));
  line().held |= bit(0) | bit(1) | bit(2);
  EXPECT_EQ(death(), "corrupt-bitmap");
}

// --- the survivor's own heap
// -------------------------------------------------------------------------------------------

TEST(ForkSurvivor, finishes_the_frees_that_others_began_in_its_heap) {
  for (const bool open : {true, false}) {
    TestHeap heap;
    std::vector<void*> slots;
    for (int i = 0; i != 30; ++i) slots.push_back(heap.allocate(0, kSize));
    if (!open) heap.close_all(0);
    const Place first = heap.place_of(slots[0]);
    for (std::size_t i = 0; i != 20; ++i) heap.deallocate(1, slots[i]);
    // Lost amid their frees: marked and never done.
    for (std::size_t i = 20; i != 25; ++i) {
      const Place place = heap.place_of(slots[i]);
      place.line->marked.fetch_or(place.bit);
    }
    heap.fork_child(0);
    EXPECT_STREQ(heap.verify(), "");
    EXPECT_EQ(heap.stats().live_allocations, 5U);
    EXPECT_EQ(heap.heap(0).inbox.load(), nullptr);
    EXPECT_EQ(first.chunk->pending.load(), 0U);
    EXPECT_EQ(first.line->marked.load(), 0U);
    for (std::size_t i = 25; i != 30; ++i) heap.deallocate(0, slots[i]);
    (void)heap.trim(0);
    EXPECT_EQ(heap.stats().chunks, 0U);
  }
}

TEST(ForkSurvivor, keeps_all_it_has_and_goes_on) {
  TestHeap heap;
  std::vector<unsigned char*> mine;
  for (const std::size_t size : Sizes{20, 2000, 30'000, 500'000}) {
    for (int i = 0; i != 20; ++i) {
      mine.push_back(static_cast<unsigned char*>(heap.allocate(0, size)));
      std::memset(mine.back(), i, 20);
    }
  }
  for (int generation = 0; generation != 5; ++generation) {
    (void)heap.allocate(1, kSize);
    heap.fork_child(0);
    ASSERT_STREQ(heap.verify(), "");
    void* const more = heap.allocate(0, kSize);
    heap.deallocate(0, more);
  }
  for (std::size_t i = 0; i != mine.size(); ++i) {
    for (int at = 0; at != 20; ++at) ASSERT_EQ(mine[i][at], i % 20);
    heap.deallocate(0, mine[i]);
  }
  EXPECT_STREQ(heap.verify(), "");
}

TEST(ForkSurvivor, dies_of_a_word_that_was_damaged) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, kSize);
  void* const other = heap.allocate(0, kSize);
  heap.close_all(0);
  heap.deallocate(1, pointer);
  heap.place_of(other).line->live.fetch_xor(heap.place_of(other).bit);
  EXPECT_STREQ(heap.death_of([&] { heap.fork_child(0); }), "corrupt-bitmap");
}

TEST(ForkSurvivor, may_have_no_heap_yet) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, kSize);
  heap.fork_child(3);
  heap.deallocate(3, pointer);
  EXPECT_STREQ(heap.verify(), "");
  EXPECT_NE(heap.allocate(3, kSize), nullptr);
  EXPECT_EQ(heap.stats().heaps, 1U);
}

TEST(ForkSurvivor, picks_other_slots_than_its_parent) {
  std::vector<std::uint32_t> parent;
  std::vector<std::uint32_t> child;
  for (const bool forked : {false, true}) {
    TestHeap heap;
    (void)heap.allocate(0, 64);
    if (forked) heap.fork_child(0);
    for (int i = 0; i != 30; ++i) (forked ? child : parent).push_back(heap.place_of(heap.allocate(0, 64)).index);
  }
  EXPECT_NE(parent, child);
}

TEST(Fork, releases_the_lock_that_the_parent_held) {
  TestHeap heap;
  (void)heap.allocate(0, kSize);
  ASSERT_TRUE(heap.arena().lock.acquire());
  heap.arena().lock.hold_for_fork();
  heap.fork_child(0);
  EXPECT_NE(heap.allocate(1, kSize), nullptr);
}

TEST(Fork, every_heap_of_lost_threads_is_found_again) {
  TestHeap heap;
  std::vector<void*> all;
  for (unsigned thread = 0; thread != 6; ++thread) {
    for (int i = 0; i != 50; ++i) all.push_back(heap.allocate(thread, kSize));
  }
  heap.exit_thread(4);  // an orphan already
  heap.fork_child(5);
  heap.deallocate(5, all[0]);  // swept for a free, before anybody adopts it
  for (unsigned thread = 0; thread != 5; ++thread) (void)heap.allocate(thread, kSize);
  EXPECT_EQ(heap.stats().heaps, 6U);
  EXPECT_STREQ(heap.verify(), "");
  for (std::size_t i = 1; i != all.size(); ++i) heap.deallocate(static_cast<unsigned>(i % 6), all[i]);
  for (unsigned thread = 0; thread != 6; ++thread) heap.exit_thread(thread);
  (void)heap.trim(0);
  EXPECT_EQ(heap.stats().live_allocations, 5U);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(Fork, keeps_what_a_lost_heap_held) {
  for (const bool written : {false, true}) {
    TestHeap heap({.options = options_of(Profile::strict)});
    (void)heap.allocate(1, kSize);
    std::vector<void*> freed;
    for (int i = 0; i != 8; ++i) freed.push_back(heap.allocate(0, kSize));
    for (void* const pointer : freed) heap.deallocate(0, pointer);
    const Place place = heap.place_of(freed[0]);
    ASSERT_NE(heap.record_of(place), nullptr) << "the chunk is open, so that its words do not say what is held";
    heap.fork_child(1);
    if (written) static_cast<char*>(freed[0])[5] = 7;
    const std::string death = heap.death_of([&] {
      void* const next = heap.allocate(2, kSize);
      EXPECT_EQ(heap.heap(2).index, static_cast<const ThreadHeap*>(place.chunk->owner)->index) << "adopted";
      EXPECT_EQ(std::find(freed.begin(), freed.end(), next), freed.end()) << "reused at once";
      for (int i = 0; i != 2000; ++i) (void)heap.allocate(2, kSize);
    });
    EXPECT_EQ(death, written ? "write-after-free" : "none");
  }
}

#if STAVE_YIELD_POINTS

TEST(Fork, at_every_yield_point_loses_nothing) {
  // The thread that passes the point is lost there; thread 3 survives.
  const char* const points[] = {"remote-free-before-mark", "remote-free-before-done", "remote-free-before-signal",
                                "drain-before-pending",    "collect-before-clear",    "collect-before-unmark"};
  for (const std::string_view point : points) {
    for (const unsigned survivor : {0U, 3U}) {
      const bool collecting = !point.starts_with("remote");
      if (collecting && survivor == 0) continue;  // the owner itself is lost there
      TestHeap heap;
      std::vector<void*> all;
      for (int i = 0; i != 100; ++i) all.push_back(heap.allocate(0, kSize));
      (void)heap.allocate(3, kSize);
      if (collecting) {
        for (std::size_t i = 0; i != 5; ++i) heap.deallocate(1, all[i]);
      }
      bool passed = false;
      heap.on_yield = [&](std::string_view reached) {
        if (passed || reached != point) return;
        passed = true;
        // Never returns to where it was: as a fault, by longjmp.
        heap.constants().die({.fault = Fault::internal, .rule = "lost in a fork"});
      };
      const auto lost = heap.fault_of([&] {
        if (collecting) {
          heap.heap(0).enter();
          heap.allocator().drain_inbox(heap.heap(0));
        } else {
          heap.deallocate(1, all[5]);
        }
      });
      ASSERT_TRUE(lost.has_value()) << point;
      heap.fork_child(survivor);
      const unsigned user = survivor == 0 ? 0 : 2;
      std::set<void*> fresh;
      for (int i = 0; i != 200; ++i) ASSERT_TRUE(fresh.insert(heap.allocate(user, kSize)).second);
      EXPECT_STREQ(heap.verify(), "") << point;
      for (std::size_t i = 6; i != all.size(); ++i) {
        EXPECT_EQ(fresh.count(all[i]), 0U);
        heap.deallocate(3, all[i]);
      }
      EXPECT_STREQ(heap.verify(), "") << point;
      // The free that was lost before it marked anything is lost with its thread; every other is finished.
      const std::uint64_t left = heap.stats().live_allocations - fresh.size() - 1;
      EXPECT_EQ(left, collecting ? 1U : point == "remote-free-before-mark" ? 6U : 5U) << point;
    }
  }
}

#endif

}  // namespace
}  // namespace stave
