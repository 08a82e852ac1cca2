// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where candidates come from: page by page, never too few to choose from, and not at once what was freed.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "heap/test_instance.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

using test::Place;
using test::TestHeap;

/// Pages with memory behind them in [start, start + bytes).
std::size_t resident_pages(const char* start, std::size_t bytes) {
  std::vector<unsigned char> map(bytes / page_size());
  if (mincore(const_cast<char*>(start), bytes, map.data()) != 0) return ~std::size_t{0};
  std::size_t count = 0;
  for (const unsigned char page : map) count += page & 1;
  return count;
}

/// Touches what is handed out, as a program would.
char* use(void* pointer) {
  *static_cast<volatile char*>(pointer) = 1;
  return static_cast<char*>(pointer);
}

TEST(Refill, a_program_with_few_objects_touches_few_pages) {
  for (const std::size_t size : Sizes{16, 64, 256, 1024}) {
    TestHeap heap;
    const char* const first = use(heap.allocate(0, size));
    for (int i = 0; i != 3; ++i) (void)use(heap.allocate(0, size));
    const Place place = heap.place_of(first);
    const ClassShape& shape = heap.constants().shapes[place.cls];
    EXPECT_LE(resident_pages(place.chunk->start() + shape.slots_offset, shape.slots_bytes / page_size() * page_size()),
              2U)
        << size;
  }
}

TEST(Refill, churn_over_few_objects_stays_on_few_pages) {
  TestHeap heap;
  std::mt19937 random(3);
  std::vector<char*> live;
  for (int step = 0; step != 20'000; ++step) {
    if (live.size() < 30) {
      live.push_back(use(heap.allocate(0, 128)));
    } else {
      std::swap(live[random() % live.size()], live.back());
      heap.deallocate(0, live.back());
      live.pop_back();
    }
  }
  const Place place = heap.place_of(live[0]);
  const ClassShape& shape = heap.constants().shapes[place.cls];
  // 32 slots a page: 30 live ones, those that are held, and a choice.
  EXPECT_LE(resident_pages(place.chunk->start() + shape.slots_offset, 12 * page_size()), 4U);
  EXPECT_EQ(heap.stats().chunks, 1U);
}

TEST(Refill, pages_open_one_after_another_and_only_when_needed) {
  TestHeap heap;
  void* const first = heap.allocate(0, 64);
  const Place place = heap.place_of(first);
  const std::uint32_t per_page = static_cast<std::uint32_t>(page_size() / 64);
  std::uint32_t opened = place.chunk->opened;
  EXPECT_LE(opened, per_page);
  std::uint32_t served = 1;
  while (place.chunk->opened < heap.constants().shapes[place.cls].slot_count) {
    (void)heap.allocate(0, 64);
    ++served;
    const std::uint32_t now = place.chunk->opened;
    ASSERT_GE(now, opened);
    ASSERT_LE(now, opened + per_page) << "one page at a time";
    if (now != opened) {
      ASSERT_GT(served + 4, opened) << "a page was opened while others had a choice to offer";
    }
    opened = now;
    ASSERT_LE(served, opened);
  }
}

TEST(Refill, a_slot_is_one_of_several_whenever_there_are_several) {
  // After each refill the cursor holds at least the few candidates that make a choice, unless the heap has nothing
  // better.
  for (const Profile profile : test::kAllProfiles) {
    TestHeap heap({.options = options_of(profile)});
    std::mt19937 random(9);
    std::vector<void*> live;
    const SizeClass cls = heap.class_for(96);
    int refills = 0;
    for (int step = 0; step != 30'000; ++step) {
      if (live.size() < 400 && random() % 2 == 0) {
        const bool refill = !heap.has_heap(0) || heap.heap(0).cursors[cls].offered() == 0;
        live.push_back(heap.allocate(0, 96));
        if (refill) {
          ++refills;
          const int choice = std::popcount(heap.heap(0).cursors[cls].offered()) + 1;
          ASSERT_GE(choice, static_cast<int>(heap.constants().few[cls])) << "step " << step;
        }
      } else if (!live.empty()) {
        std::swap(live[random() % live.size()], live.back());
        heap.deallocate(0, live.back());
        live.pop_back();
      }
    }
    EXPECT_GT(refills, 100);
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST(Refill, the_first_slot_of_a_chunk_cannot_be_predicted) {
  std::map<std::uint32_t, int> firsts;
  for (std::uint64_t seed = 0; seed != 400; ++seed) {
    TestHeap heap({.units = 64, .seed = seed});
    ++firsts[heap.place_of(heap.allocate(0, 64)).index];
  }
  EXPECT_GE(firsts.size(), 50U) << "of 64 in the first page";
  for (const auto& [index, count] : firsts) EXPECT_LE(count, 24) << index;
}

TEST(Refill, without_slot_randomize_slots_follow_one_another) {
  Options options = options_of(Profile::standard);
  options.slot_randomize = 0;
  TestHeap heap({.options = options});
  for (std::uint32_t i = 0; i != 64; ++i) EXPECT_EQ(heap.place_of(heap.allocate(0, 64)).index, i);
}

TEST(Refill, every_slot_of_a_chunk_is_handed_out_once) {
  for (const std::size_t size : Sizes{16, 48, 1000, 5000, 40'000, 262'144}) {
    TestHeap heap({.units = 8192});
    void* const first = heap.allocate(0, size);
    const Place place = heap.place_of(first);
    std::set<void*> in_chunk{first};
    std::set<void*> all{first};
    while (heap.stats().chunks == 1) {
      void* const pointer = heap.allocate(0, size);
      ASSERT_NE(pointer, nullptr);
      ASSERT_TRUE(all.insert(pointer).second) << "handed out twice";
      if (heap.place_of(pointer).chunk == place.chunk) in_chunk.insert(pointer);
    }
    EXPECT_EQ(in_chunk.size(), heap.constants().shapes[place.cls].slot_count) << size;
  }
}

TEST(Hold, a_freed_slot_does_not_come_back_before_its_word_was_refilled) {
  TestHeap heap;
  for (int round = 0; round != 200; ++round) {
    void* const pointer = heap.allocate(0, 64);
    const Place place = heap.place_of(pointer);
    ASSERT_TRUE(heap.is_open(place));
    heap.deallocate(0, pointer);
    EXPECT_NE(heap.held_in(place) & place.bit, 0U);
    const int left = std::popcount(heap.heap(0).cursors[place.cls].offered());
    std::vector<void*> others;
    for (int i = 0; i != left; ++i) {
      others.push_back(heap.allocate(0, 64));
      ASSERT_NE(others.back(), pointer);
    }
    for (void* const other : others) heap.deallocate(0, other);
  }
}

TEST(Hold, of_the_slots_that_are_held_some_stay_when_the_word_is_refilled) {
  for (const Profile profile : test::kAllProfiles) {
    TestHeap heap({.options = options_of(profile)});
    const SizeClass cls = heap.class_for(64);
    const auto most = heap.constants().holds[cls];
    ASSERT_GT(most, 0U);
    std::uint64_t stayed = 0;
    for (int step = 0; step != 5000; ++step) {
      const bool refill = !heap.has_heap(0) || heap.heap(0).cursors[cls].offered() == 0;
      void* const pointer = heap.allocate(0, 64);
      if (refill) {
        const auto held = static_cast<unsigned>(std::popcount(heap.held_in(heap.place_of(pointer))));
        ASSERT_LE(held, most);
        stayed += held;
      }
      heap.deallocate(0, pointer);
    }
    EXPECT_GT(stayed, 0U) << profile_name(profile);
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST(Hold, nobody_can_tell_when_a_freed_slot_comes_back) {
  std::set<int> distances;
  for (std::uint64_t seed = 0; seed != 60; ++seed) {
    TestHeap heap({.units = 64, .seed = seed});
    void* const victim = heap.allocate(0, 64);
    heap.deallocate(0, victim);
    int distance = 1;
    for (;; ++distance) {
      ASSERT_LT(distance, 100'000) << "never";
      void* const pointer = heap.allocate(0, 64);
      if (pointer == victim) break;
      heap.deallocate(0, pointer);
    }
    distances.insert(distance);
  }
  // Sixty draws of nearly sixty equally likely distances: 37 different ones are to be expected.
  EXPECT_GE(distances.size(), 28U);
}

TEST(Hold, every_held_slot_is_of_use_again_sooner_or_later) {
  TestHeap heap;
  std::set<void*> seen;
  for (int step = 0; step != 20'000; ++step) {
    void* const pointer = heap.allocate(0, 64);
    seen.insert(pointer);
    heap.deallocate(0, pointer);
  }
  EXPECT_EQ(heap.stats().chunks, 1U);
  const Place place = heap.place_of(*seen.begin());
  EXPECT_EQ(seen.size(), place.chunk->opened);
}

/// Exhausts the region with one class and gives back all that it got.
std::vector<void*> exhaust(TestHeap& heap, std::size_t size) {
  std::vector<void*> all;
  while (void* const pointer = heap.allocate(0, size)) all.push_back(pointer);
  return all;
}

TEST(OutOfMemory, the_last_free_slot_serves_wherever_it_is) {
  for (const std::size_t size : Sizes{64, 1000, 30'000}) {
    TestHeap heap({.units = 128});
    std::vector<void*> all = exhaust(heap, size);
    ASSERT_FALSE(all.empty());
    EXPECT_STREQ(heap.verify(), "");
    std::mt19937 random(5);
    for (int round = 0; round != 200; ++round) {
      void*& victim = all[random() % all.size()];
      const Place place = heap.place_of(victim);
      heap.deallocate(0, victim);
      void* const again = heap.allocate(0, size);
      ASSERT_NE(again, nullptr) << "one slot is free, in a chunk that is "
                                << (place.chunk->place == Chunk::Place::current ? "current" : "in a list");
      EXPECT_EQ(again, victim);
      victim = again;
    }
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST(OutOfMemory, all_slots_of_all_chunks_are_handed_out_before) {
  TestHeap heap({.units = 128});
  const std::vector<void*> all = exhaust(heap, 1000);
  std::uint64_t slots = 0;
  heap.arena().for_each_chunk([&](Chunk* chunk) { slots += heap.constants().shapes[chunk->size_class()].slot_count; });
  EXPECT_EQ(all.size(), slots);
  EXPECT_EQ(heap.stats().live_allocations, slots);
}

TEST(OutOfMemory, what_was_freed_serves_another_class_when_nothing_else_is_left) {
  TestHeap heap({.units = 128});
  const SizeClass small = size_class_for(400);
  std::vector<void*> all = exhaust(heap, 400);
  const SizeClass other = size_class_for(500);
  ASSERT_EQ(heap.constants().shapes[small].units_log2, heap.constants().shapes[other].units_log2);
  EXPECT_EQ(heap.allocate(0, 500), nullptr);
  for (void* const pointer : all) heap.deallocate(0, pointer);
  (void)heap.trim(0);
  void* const pointer = heap.allocate(0, 500);
  EXPECT_NE(pointer, nullptr);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(HandOut, a_word_that_was_changed_behind_its_owners_back_kills) {
  const auto death = [](auto damage) {
    TestHeap heap;
    void* const pointer = heap.allocate(0, 64);
    damage(heap, heap.place_of(pointer));
    return std::string(heap.death_of([&] { (void)heap.allocate(0, 64); }));
  };
  EXPECT_EQ(death([](TestHeap&, const Place&) {}), "none");
  EXPECT_EQ(death([](TestHeap&, const Place& place) { place.line->live.fetch_xor(place.bit); }), "corrupt-bitmap");
  EXPECT_EQ(death([](TestHeap&, const Place& place) { place.line->held ^= std::uint64_t{1} << 63; }), "corrupt-bitmap");
  EXPECT_EQ(death([](TestHeap& heap, const Place& place) {
              // A candidate that is marked: one that somebody is freeing is nobody's to give.
              place.line->marked.fetch_or(heap.heap(0).cursors[place.cls].offered());
            }),
            "corrupt-bitmap");
}

TEST(HandOut, a_chunk_is_not_closed_with_a_word_that_was_changed_meanwhile) {
  const auto death = [](auto damage) {
    TestHeap heap;
    const Place place = heap.place_of(heap.allocate(0, 64));
    std::uint32_t other = 0;  // a word that malloc does not serve from, which is looked at before
    while (heap.heap(0).cursors[place.cls].line == place.chunk->lines() + other) ++other;
    damage(place.chunk->lines()[other]);
    return std::string(heap.death_of([&] { heap.close_all(0); }));
  };
  EXPECT_EQ(death([](SlotLine&) {}), "none");
  EXPECT_EQ(death([](SlotLine& line) { line.live.fetch_xor(1); }), "corrupt-bitmap");
  EXPECT_EQ(death([](SlotLine& line) { line.held ^= 1; }), "corrupt-bitmap");
  EXPECT_EQ(death([](SlotLine& line) { line.marked.fetch_xor(~line.live.load()); }), "corrupt-bitmap");
}

TEST(HandOut, a_slot_in_use_is_never_handed_out_even_if_the_copies_say_it_is_free) {
  TestHeap heap;
  void* const pointer = heap.allocate(0, 64);
  const Place place = heap.place_of(pointer);
  heap.record_of(place)->words()[place.line_index].live = 0;
  EXPECT_STREQ(heap.death_of([&] { (void)heap.allocate(0, 64); }), "corrupt-bitmap");
}

TEST(Refill, verifies_the_guard_word_of_the_word_it_takes) {
  const auto death = [](bool forge) {
    TestHeap heap;
    std::vector<void*> all;
    for (int i = 0; i != 500; ++i) all.push_back(heap.allocate(0, 64));
    heap.close_all(0);
    for (std::size_t i = 0; i < all.size(); i += 2) {
      const Place place = heap.place_of(all[i]);
      if (forge) {
        place.line->live.fetch_and(~place.bit);  // free, as far as the bitmap says: only the guard word knows better
        --place.chunk->until_notified;
      } else {
        heap.deallocate(0, all[i]);
      }
    }
    return std::string(heap.death_of([&] {
      for (int i = 0; i != 600; ++i) (void)heap.allocate(0, 64);
    }));
  };
  EXPECT_EQ(death(false), "none");
  EXPECT_EQ(death(true), "corrupt-bitmap");
}

TEST(Refill, verifies_the_header_of_the_chunk_it_serves_from) {
  for (const bool seal : {true, false}) {
    TestHeap heap;
    void* const pointer = heap.allocate(0, 64);
    Chunk* const chunk = heap.place_of(pointer).chunk;
    if (seal) {
      chunk->seal ^= 1;
    } else {
      chunk->owner = chunk;
    }
    EXPECT_STREQ(heap.death_of([&] {
      for (int i = 0; i != 100; ++i) (void)heap.allocate(0, 64);
    }),
                 "corrupt-header");
  }
}

TEST(Refill, dies_when_more_slots_are_opened_than_there_are) {
  TestHeap heap;
  Chunk* const chunk = heap.place_of(heap.allocate(0, 64)).chunk;
  chunk->opened |= 1U << 20;
  chunk->short_refills = 100;  // a page is opened before the words are looked at
  EXPECT_STREQ(heap.death_of([&] {
    for (int i = 0; i != 200; ++i) (void)heap.allocate(0, 64);
  }),
               "corrupt-header");
}

// Counts decide where a chunk waits, and what is free is for its words to say; a chunk that waits where it has nothing
// to offer is noticed there.
TEST(Refill, of_a_chunk_whose_counts_were_changed_gives_no_slot_twice_and_dies) {
  for (const bool more : {false, true}) {
    TestHeap heap;
    std::vector<void*> all;
    for (int i = 0; i != 200; ++i) all.push_back(heap.allocate(0, 64));
    const Place place = heap.place_of(all[0]);
    for (void* const pointer : all) heap.deallocate(0, pointer);
    place.chunk->set_available(more ? 2 * place.chunk->opened : heap.constants().few[place.cls]);
    std::set<void*> again;
    EXPECT_STREQ(heap.death_of([&] {
      for (int i = 0; i != 2000; ++i) EXPECT_TRUE(again.insert(heap.allocate(0, 64)).second);
    }),
                 "corrupt-header");
  }
}

TEST(Refill, dies_when_chunks_that_are_called_usable_offer_nothing) {
  TestHeap heap;
  std::vector<void*> all;
  while (heap.stats().chunks < 4) all.push_back(heap.allocate(0, 1000));
  std::set<Chunk*> forged;
  for (void* const pointer : all) {
    Chunk* const chunk = heap.place_of(pointer).chunk;
    if (chunk->place != Chunk::Place::full || !forged.insert(chunk).second) continue;
    chunk->notify_at = chunk->opened;
    chunk->until_notified = 1;
    heap.deallocate(0, pointer);
  }
  ASSERT_GE(forged.size(), 2U);
  EXPECT_STREQ(heap.death_of([&] {
    for (int i = 0; i != 1000; ++i) (void)heap.allocate(0, 1000);
  }),
               "corrupt-header");
}

// --- open chunks -----------------------------------------------------------------------------------------------------

/// How many records of a class have a chunk.
std::size_t open_chunks(const ThreadHeap& heap, SizeClass cls) {
  return static_cast<std::size_t>(std::ranges::count_if(TestHeap::records(heap, cls),
                                                        [](const OpenChunk* open) { return open->chunk != nullptr; }));
}

TEST(OpenChunks, are_so_many_of_a_class_at_most_and_the_others_are_served_by_their_guard_words) {
  constexpr std::size_t kSize = 1000;
  TestHeap heap({.units = 256});
  const SizeClass cls = size_class_for(kSize);
  std::vector<void*> all;
  std::set<Chunk*> chunks;
  while (chunks.size() < 2 * ClassChunks::kMostOpen) {
    all.push_back(heap.allocate(0, kSize));
    ASSERT_NE(all.back(), nullptr);
    ASSERT_TRUE(heap.is_open(heap.place_of(all.back()))) << "what serves is open";
    chunks.insert(heap.place_of(all.back()).chunk);
    ASSERT_EQ(open_chunks(heap.heap(0), cls), std::min<std::size_t>(chunks.size(), ClassChunks::kMostOpen));
  }
  ASSERT_STREQ(heap.verify(), "");
  // In either kind a slot is held when it was freed, and cannot be freed twice.
  std::size_t closed = 0;
  for (std::size_t i = 0; i < all.size(); i += 10) {
    const Place place = heap.place_of(all[i]);
    if (!heap.is_open(place)) ++closed;
    heap.deallocate(0, all[i]);
    ASSERT_NE(heap.held_in(place) & place.bit, 0U);
    ASSERT_STREQ(heap.verify(), "");
  }
  EXPECT_GT(closed, all.size() / 40);
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(0, all[0]); }), "double-free");
}

// A chunk's number of its record is not sealed: whoever changes it makes the words those of a closed chunk.
TEST(OpenChunks, that_are_called_closed_do_not_go_back_to_what_they_were) {
  TestHeap heap;
  const Place place = heap.place_of(heap.allocate(0, 767));
  heap.trim(0);  // nothing is served from it
  ASSERT_TRUE(heap.is_open(place));
  place.chunk->record ^= 0x80;
  place.line->live.fetch_xor(place.bit);  // as when the chunk was opened: nothing is live
  EXPECT_STREQ(heap.death_of([&] { heap.trim(0); }), "corrupt-bitmap");
}

TEST(OpenChunks, that_share_a_place_in_nearby_are_told_apart) {
  constexpr std::size_t kSize = 200;
  TestHeap heap({.units = 64});
  std::vector<void*> all;
  while (heap.stats().chunks < 8) all.push_back(heap.allocate(0, kSize));
  // As if all units had the same number: whatever is freed, the record of another chunk is found first.
  for (OpenChunk*& nearby : heap.heap(0).nearby) nearby = heap.record_of(heap.place_of(all[0]));
  for (void* const pointer : all) {
    heap.deallocate(0, pointer);
    ASSERT_STREQ(heap.verify(), "");
  }
  EXPECT_EQ(heap.stats().live_allocations, 0U);
}

TEST(OpenChunks, whose_header_was_overwritten_kill_when_they_are_closed_or_retired) {
  const auto death = [](bool current) {
    TestHeap heap;
    std::vector<void*> all;
    while (heap.stats().chunks < 3) all.push_back(heap.allocate(0, 1000));
    heap.place_of(current ? all.back() : all.front()).chunk->identity.bits ^= std::uint64_t{1} << 63;
    return std::string(heap.death_of([&] { heap.close_all(0); }));
  };
  EXPECT_EQ(death(true), "corrupt-header");
  EXPECT_EQ(death(false), "corrupt-header");
}

}  // namespace
}  // namespace stave
