// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "heap/verify.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "heap/test_instance.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

using test::Place;
using test::TestHeap;

/// A heap with several chunks of one class (some full, some not), of a class of many units, large blocks, remote frees
/// that wait, and words that nobody serves from.
class Verify : public testing::Test {
 protected:
  static constexpr std::size_t kSize = 512;

  void SetUp() override {
    for (int i = 0; i != 400; ++i) small_.push_back(heap_.allocate(0, kSize));
    for (int i = 0; i != 40; ++i) medium_.push_back(heap_.allocate(0, 20'000));
    for (int i = 0; i != 3; ++i) large_.push_back(heap_.allocate(0, 500'000));
    for (void* const pointer : small_) ASSERT_NE(pointer, nullptr);
    for (std::size_t i = 0; i < small_.size(); i += 3) heap_.deallocate(0, std::exchange(small_[i], nullptr));
    // A remote free in each chunk, so that every inbox word is in use.
    heap_.deallocate(1, std::exchange(medium_[0], nullptr));
    heap_.deallocate(0, std::exchange(large_[1], nullptr));
    // Closed chunks, and for each class an open one.
    heap_.close_all(0);
    small_.push_back(heap_.allocate(0, kSize));
    medium_.push_back(heap_.allocate(0, 20'000));
    ASSERT_STREQ(heap_.verify(), "");
  }

  /// What verify() names, without the sentence.
  std::string broken() { return std::string(heap_.verify()).substr(0, 2); }

  /// A live slot in a closed chunk that is in a list together with another one.
  Place listed() {
    for (void* const pointer : small_) {
      if (pointer == nullptr) continue;
      const Place place = heap_.place_of(pointer);
      if (!heap_.is_open(place) && place.chunk->next != place.chunk) return place;
    }
    ADD_FAILURE() << "no list has two chunks";
    return heap_.place_of(small_[1]);
  }

  /// A live slot of the word that serves its class, in the current chunk, which is open.
  Place open() { return heap_.place_of(small_.back()); }

  LargeRecord& record(void* pointer) {
    return *heap_.allocator().large.find_live(pointer, heap_.entry(pointer), Fault::internal);
  }

  TestHeap heap_;
  std::vector<void*> small_;
  std::vector<void*> medium_;
  std::vector<void*> large_;
};

TEST_F(Verify, holds_for_a_heap_in_use) { EXPECT_STREQ(heap_.verify(), ""); }

TEST_F(Verify, C1_a_header_that_does_not_fit_its_seal) {
  Chunk& chunk = *listed().chunk;
  chunk.seal ^= 1;
  EXPECT_EQ(broken(), "C1");
  chunk.seal ^= 1;
  chunk.identity.bits ^= std::uint64_t{1} << 57;
  EXPECT_EQ(broken(), "C1");
  chunk.identity.bits ^= std::uint64_t{1} << 57;
  chunk.identity.bits ^= kLine;
  EXPECT_EQ(broken(), "C1");
  chunk.identity.bits ^= kLine;
  void* const owner = std::exchange(chunk.owner, &chunk);
  EXPECT_EQ(broken(), "C1");
  chunk.owner = owner;
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, C2_a_count_that_is_not_true) {
  for (const Place& place : {listed(), open()}) {
    --place.chunk->until_notified;
    EXPECT_EQ(broken(), "C2");
    place.chunk->until_notified += 2;
    EXPECT_EQ(broken(), "C2");
    --place.chunk->until_notified;
    EXPECT_EQ(broken(), "");
  }
}

TEST_F(Verify, C3_neighbours_that_do_not_point_at_one_another) {
  Chunk& chunk = *listed().chunk;
  Chunk* const next = std::exchange(chunk.next, &chunk);
  EXPECT_EQ(broken(), "C3");
  chunk.next = next;
  EXPECT_EQ(broken(), "");
  Chunk* const previous = std::exchange(chunk.previous, &chunk);
  EXPECT_EQ(broken(), "C3");
  chunk.previous = previous;
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, C4_a_pending_word_that_has_nothing_done) {
  const Place place = listed();
  const std::uint64_t pending = place.chunk->pending.fetch_or(std::uint64_t{1} << place.line_index);
  ASSERT_EQ(pending, 0U);
  EXPECT_EQ(broken(), "C4");
  place.chunk->pending.store(pending);
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, C5_more_opened_slots_than_there_are) {
  Chunk& chunk = *listed().chunk;
  const std::uint32_t opened =
      std::exchange(chunk.opened, heap_.constants().shapes[chunk.size_class()].slot_count + 1U);
  EXPECT_EQ(broken(), "C5");
  chunk.opened = opened;
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, L1_a_guard_word_that_does_not_fit) {
  const Place place = listed();
  place.line->guard ^= std::uint64_t{1} << 40;
  EXPECT_EQ(broken(), "L1");
  place.line->guard ^= std::uint64_t{1} << 40;
  place.line->live.fetch_xor(place.bit);
  EXPECT_EQ(broken(), "L1");
  place.line->live.fetch_xor(place.bit);
  EXPECT_EQ(broken(), "");
  // A word of an open chunk has a copy instead.
  const Place served = open();
  served.line->live.fetch_xor(served.bit);
  EXPECT_EQ(broken(), "L1");
  served.line->live.fetch_xor(served.bit);
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, L2_a_slot_that_is_live_and_held) {
  const Place place = listed();
  place.line->held ^= place.bit;
  heap_.bless(place);
  EXPECT_EQ(broken(), "L2");
  place.line->held ^= place.bit;
  heap_.bless(place);
  EXPECT_EQ(broken(), "");
  // An open word has no held bits at all.
  open().line->held ^= place.bit;
  EXPECT_EQ(broken(), "L1");
  open().line->held ^= place.bit;
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, L3_done_without_mark_and_mark_without_life) {
  const Place place = listed();
  place.line->done.fetch_or(place.bit);
  EXPECT_EQ(broken(), "L3");
  place.line->marked.fetch_or(place.bit);
  EXPECT_EQ(broken(), "") << "a remote free that was not signalled yet";
  place.line->done.store(0);
  place.line->marked.store(0);
  std::uint64_t dead = ~place.line->live.load();
  dead &= ~dead + 1;
  place.line->marked.store(dead);
  EXPECT_EQ(broken(), "L3");
  place.line->marked.store(0);
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, L4_a_bit_beyond_the_opened_slots) {
  // The last word of a class whose slots are not a multiple of 64 has bits that no slot has.
  void* const pointer = heap_.allocate(1, 40'000);
  heap_.close_all(1);
  const Place place = heap_.place_of(pointer);
  ASSERT_LT(place.chunk->opened, 64U);
  place.line->held |= std::uint64_t{1} << 63;
  heap_.bless(place);
  EXPECT_EQ(broken(), "L4");
  place.line->held = 0;
  heap_.bless(place);
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, H1_an_offered_slot_that_is_live) {
  const Place place = open();
  Cursor& cursor = heap_.heap(0).cursors[place.cls];
  cursor.candidates ^= place.bit;
  EXPECT_EQ(broken(), "H1");
  cursor.candidates ^= place.bit;
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, H2_a_chunk_that_is_not_where_it_says) {
  Chunk& chunk = *listed().chunk;
  const Chunk::Place place = std::exchange(chunk.place, Chunk::Place::current);
  EXPECT_EQ(broken(), "H2");
  chunk.place = place;
  ThreadHeap& heap = heap_.heap(0);
  ClassChunks& chunks = heap.classes[chunk.size_class()];
  ++chunks.chunks;
  EXPECT_EQ(broken(), "H2");
  --chunks.chunks;
  ++chunks.empty;
  EXPECT_EQ(broken(), "H2");
  --chunks.empty;
  Chunk& current = *open().chunk;
  current.place = Chunk::Place::full;
  EXPECT_EQ(broken(), "H2");
  current.place = Chunk::Place::current;
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, H3_a_record_that_is_not_its_chunks) {
  OpenChunk& record = *heap_.record_of(open());
  const OpenChunk before = record;
  const auto broken_by = [&](auto damage) {
    damage();
    const std::string found = broken();
    record = before;
    return found;
  };
  EXPECT_EQ(broken_by([&] { record.first_slot += 16; }), "H3");
  EXPECT_EQ(broken_by([&] { record.slots_bytes += 1; }), "H3");
  EXPECT_EQ(broken_by([&] { ++record.reciprocal; }), "H3");
  EXPECT_EQ(broken_by([&] { record.slot_size += 16; }), "H3");
  EXPECT_EQ(broken_by([&] { record.header ^= 1; }), "H3");
  EXPECT_EQ(broken(), "");
  // A record that its chunk does not name: the chunk counts as closed, and its guard words do not hold.
  Chunk& chunk = *open().chunk;
  ++chunk.record;
  EXPECT_NE(broken(), "");
  --chunk.record;
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, H2_a_chunk_that_is_in_no_list) {
  // Dropped, with all counts made to fit: nobody would ever serve from it again.
  const Place place = listed();
  ClassChunks& chunks = heap_.heap(0).classes[place.cls];
  heap_.allocator().unlink(heap_.heap(0), place.chunk);
  --chunks.chunks;
  EXPECT_EQ(broken(), "H2");
}

TEST_F(Verify, R1_a_unit_of_a_chunk_that_is_not_registered) {
  const Place place = heap_.place_of(medium_[1]);
  ASSERT_GT(heap_.constants().shapes[place.cls].units_log2, 0U);
  const std::uintptr_t second = address_of(place.chunk->start()) + kUnit;
  const RegistryEntry entry = heap_.arena().registry.find(second);
  heap_.arena().registry.set(second, {});
  EXPECT_EQ(broken(), "R1");
  heap_.arena().registry.set(second, {entry.bits ^ kLine});
  EXPECT_EQ(broken(), "R1");
  heap_.arena().registry.set(second, entry);
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, R2_a_chunk_that_the_arena_does_not_count) {
  ++heap_.arena().counts.chunks;
  EXPECT_EQ(broken(), "R2");
  heap_.arena().counts.chunks -= 2;
  EXPECT_EQ(broken(), "R2");
  ++heap_.arena().counts.chunks;
  // Or that the registry has forgotten.
  Chunk* const chunk = listed().chunk;
  const RegistryEntry entry = heap_.entry(chunk);
  heap_.arena().registry.set(address_of(chunk->start()), {});
  EXPECT_EQ(broken(), "R2");
  heap_.arena().registry.set(address_of(chunk->start()), entry);
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, R3_a_unit_of_a_large_block_that_is_not_registered) {
  const std::uintptr_t unit = align_down(address_of(large_[0]) + 3 * kUnit, kUnit);
  const RegistryEntry entry = heap_.arena().registry.find(unit);
  ASSERT_EQ(entry.kind(), UnitKind::large);
  heap_.arena().registry.set(unit, {});
  EXPECT_EQ(broken(), "R3");
  heap_.arena().registry.set(unit, RegistryEntry::of_large(entry.record() + 1));
  EXPECT_EQ(broken(), "R3");
  heap_.arena().registry.set(unit, entry);
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, B1_a_record_that_does_not_fit_its_seal) {
  LargeRecord& live = record(large_[0]);
  const auto flips = [&](auto& field) {
    auto* const bytes = reinterpret_cast<unsigned char*>(&field);
    bytes[0] ^= 1;
    EXPECT_EQ(broken(), "B1");
    bytes[0] ^= 1;
    EXPECT_EQ(broken(), "");
  };
  flips(live.base);
  flips(live.usable);
  flips(live.mapping);
  flips(live.mapping_bytes);
  flips(live.state);
  flips(live.guard);
  flips(live.seal);
}

TEST_F(Verify, B2_a_count_of_large_blocks_that_is_not_true) {
  ++heap_.allocator().large.live_count;
  EXPECT_EQ(broken(), "B2");
  heap_.allocator().large.live_count -= 2;
  EXPECT_EQ(broken(), "B2");
  ++heap_.allocator().large.live_count;
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, B3_a_freed_block_that_the_queue_does_not_lead_to) {
  LargeRecord& freed = record(large_[0]);
  for (const int i : {0, 2}) heap_.deallocate(0, large_[i]);
  EXPECT_EQ(broken(), "");
  const std::uint32_t behind = std::exchange(freed.next, 0);
  EXPECT_EQ(broken(), "B3");
  freed.next = behind;
  EXPECT_EQ(broken(), "");
}

TEST_F(Verify, touches_nothing) {
  const std::uint64_t calls = heap_.calls;
  const std::string before(reinterpret_cast<const char*>(&heap_.allocator()), sizeof heap_.allocator());
  (void)heap_.verify();
  EXPECT_TRUE(std::memcmp(before.data(), &heap_.allocator(), before.size()) == 0);
  EXPECT_EQ(heap_.calls, calls);
}

TEST(Stats, count_what_the_program_holds) {
  TestHeap heap;
  EXPECT_EQ(heap.stats().live_allocations, 0U);
  std::vector<void*> pointers;
  std::uint64_t bytes = 0;
  for (const std::size_t size : Sizes{1, 16, 17, 500, 5000, 70'000, 262'144, 262'145, 1'000'000}) {
    pointers.push_back(heap.allocate(0, size));
    bytes += heap.usable_size(pointers.back());
  }
  Stats stats = heap.stats();
  EXPECT_EQ(stats.live_allocations, pointers.size());
  EXPECT_EQ(stats.live_bytes, bytes);
  EXPECT_EQ(stats.large_blocks, 2U);
  EXPECT_EQ(stats.calls_served, pointers.size());
  EXPECT_EQ(stats.heaps, 1U);
  EXPECT_EQ(stats.held_slots, 0U);
  std::size_t held = 0;
  for (std::size_t i = 0; i != pointers.size(); ++i) {
    const bool slot = heap.entry(pointers[i]).is_chunk();
    heap.deallocate(i % 2 == 0 ? 0U : 1U, pointers[i]);  // remote ones count as freed before they are collected
    held += slot ? 1 : 0;
    EXPECT_EQ(heap.stats().held_slots, held);
    EXPECT_EQ(heap.stats().live_allocations, pointers.size() - i - 1);
  }
  stats = heap.stats();
  EXPECT_EQ(stats.live_bytes, 0U);
  EXPECT_EQ(stats.large_blocks, 0U);
  EXPECT_EQ(stats.calls_served, pointers.size()) << "since the start";
}

TEST(Stats, count_every_realloc_that_got_memory_as_a_call_served) {
  TestHeap heap;
  std::uint64_t calls = 0;
  for (const std::size_t size : Sizes{100, 5000, 400'000}) {
    void* block = heap.allocate(0, size);
    for (const std::size_t next : {size - 1, size, 3 * size, 3 * size - 1, size / 4}) {
      block = heap.reallocate(0, block, next);
      ASSERT_NE(block, nullptr);
      ++calls;
      EXPECT_EQ(heap.stats().calls_served, calls + 1) << next;
    }
    heap.deallocate(0, block);
    ++calls;
  }
}

}  // namespace
}  // namespace stave
