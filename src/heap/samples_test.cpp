// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "heap/samples.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <set>
#include <vector>

#include "base/test_child.hpp"
#include "heap/test_instance.hpp"

namespace stave {
namespace {

using test::read_end;
using test::TestHeap;
using test::write_end;

/// Everything is a sample, as far as there are places.
Options all_sampled(bool advice, std::uint64_t placement = kPlaceRight) {
  Options options = test::options_with(Profile::standard, advice);
  options.sample_interval = 1;
  options.sample_placement = placement;
  options.sample_pool = 64;
  options.sample_seed = 7;
  return options;
}

/// Guards by advice, and by protection.
class Samples : public testing::TestWithParam<bool> {
 protected:
  static TestHeap::Setup setup(std::uint64_t placement = kPlaceRight) {
    return {.options = all_sampled(GetParam(), placement), .samples = true};
  }
};
INSTANTIATE_TEST_SUITE_P(Guards, Samples, testing::Bool(),
                         [](const auto& guards) { return guards.param ? "by_advice" : "by_protection"; });

bool is_sample(const TestHeap& heap, const void* pointer) { return heap.entry(pointer).kind() == UnitKind::sample; }

char* sample(TestHeap& heap, std::size_t size, unsigned thread = 0) {
  auto* const pointer = static_cast<char*>(heap.allocate(thread, size));
  EXPECT_TRUE(is_sample(heap, pointer)) << size;
  return pointer;
}

std::size_t page_rest(const void* pointer, std::size_t size) {
  return align_up(address_of(pointer) + size, page_size()) - (address_of(pointer) + size);
}

TEST_P(Samples, are_zero_and_end_where_the_request_does) {
  TestHeap heap(setup());
  const std::size_t most = kUnit - 2 * page_size();
  for (const std::size_t size : {std::size_t{1}, std::size_t{15}, std::size_t{16}, std::size_t{100}, page_size(),
                                 page_size() + 1, std::size_t{50'000}, most, most + 1, kLargestSlot}) {
    char* const pointer = sample(heap, size);
    EXPECT_EQ(address_of(pointer) % kGrain, 0U);
    EXPECT_LT(page_rest(pointer, size), kGrain);
    EXPECT_EQ(heap.usable_size(pointer), size);
    EXPECT_TRUE(std::all_of(pointer, pointer + size, [](char byte) { return byte == 0; })) << size;
    std::memset(pointer, 0x5a, size);
    EXPECT_STREQ(heap.verify(), "") << size;
    EXPECT_EQ(read_end(pointer + size + page_rest(pointer, size)), -SIGSEGV);
    EXPECT_EQ(write_end(reinterpret_cast<char*>(align_down(address_of(pointer), page_size())) - 1), -SIGSEGV);
    heap.deallocate(0, pointer);
    EXPECT_STREQ(heap.verify(), "") << size;
  }
  EXPECT_FALSE(is_sample(heap, heap.allocate(0, kLargestSlot + 1)));
  EXPECT_FALSE(is_sample(heap, heap.allocate_aligned(0, 2 * page_size(), 16)));
}

TEST_P(Samples, fault_on_any_access_when_they_are_free) {
  TestHeap heap(setup());
  for (const std::size_t size : {std::size_t{40}, std::size_t{3} * page_size()}) {
    char* const pointer = sample(heap, size);
    std::memset(pointer, 1, size);
    heap.deallocate(0, pointer);
    EXPECT_EQ(read_end(pointer), -SIGSEGV);
    EXPECT_EQ(write_end(pointer + size - 1), -SIGSEGV);
  }
}

TEST_P(Samples, lie_at_either_end_of_their_pages) {
  const auto lefts = [](std::uint64_t placement) {
    TestHeap heap(setup(placement));
    unsigned left = 0;
    for (unsigned i = 0; i != 40; ++i) left += address_of(sample(heap, 48)) % page_size() == 0 ? 1U : 0U;
    return left;
  };
  EXPECT_EQ(lefts(kPlaceRight), 0U);
  EXPECT_EQ(lefts(kPlaceLeft), 40U);
  EXPECT_GT(lefts(kPlaceRandom), 8U);
  EXPECT_LT(lefts(kPlaceRandom), 32U);
  TestHeap heap(setup(kPlaceLeft));
  EXPECT_EQ(read_end(sample(heap, 48) - 1), -SIGSEGV);
}

TEST_P(Samples, can_end_with_their_page_to_the_byte) {
  TestHeap heap(setup(kPlaceExact));
  for (const std::size_t size : {1, 7, 41, 5000}) {
    char* const pointer = sample(heap, size);
    EXPECT_EQ(page_rest(pointer, size), 0U);
    EXPECT_EQ(read_end(pointer + size), -SIGSEGV);
    heap.deallocate(0, pointer);
  }
  auto* const aligned = static_cast<char*>(heap.allocate_aligned(0, 64, 41));
  EXPECT_TRUE(is_sample(heap, aligned));
  EXPECT_EQ(address_of(aligned) % 64, 0U);
}

TEST_P(Samples, are_aligned_as_asked) {
  TestHeap heap(setup(kPlaceRandom));
  for (std::size_t alignment = 1; alignment <= page_size(); alignment *= 2) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{100}, page_size() + 8}) {
      void* const pointer = heap.allocate_aligned(0, alignment, size);
      EXPECT_TRUE(is_sample(heap, pointer));
      EXPECT_EQ(address_of(pointer) % std::max(alignment, kGrain), 0U);
      heap.deallocate(0, pointer);
    }
  }
  EXPECT_STREQ(heap.verify(), "");
}

TEST_P(Samples, tell_what_was_written_around_them_when_they_are_resized_and_stay) {
  TestHeap heap(setup());
  char* const pointer = sample(heap, 41);
  EXPECT_EQ(heap.reallocate(0, pointer, 41), pointer);
  pointer[41] = 0;
  EXPECT_EQ(heap.usable_size(pointer), 41U);
  EXPECT_STREQ(heap.death_of([&] { (void)heap.reallocate(0, pointer, 41); }), "overflow");
}

TEST_P(Samples, tell_what_was_written_around_them_when_they_are_freed) {
  for (const std::size_t size : {41, 100, 4100}) {
    for (const std::ptrdiff_t at : {std::ptrdiff_t{-1}, std::ptrdiff_t{-16}, static_cast<std::ptrdiff_t>(size)}) {
      TestHeap heap(setup());
      char* const pointer = sample(heap, size);
      EXPECT_GT(static_cast<unsigned char>(pointer[at]),
                127);  // so neither zero, nor a small number, nor text is what was there
      pointer[at] = 0;
      EXPECT_STREQ(heap.verify(), "S2 what lies around a sample is as it was laid");
      const auto fault = heap.fault_of([&] { heap.deallocate(0, pointer); });
      ASSERT_TRUE(fault);
      EXPECT_EQ(fault->fault, at < 0 ? Fault::underflow : Fault::overflow);
      EXPECT_EQ(fault->address, pointer);
      EXPECT_EQ(fault->changed, pointer + at);
      EXPECT_EQ(fault->sample, 1U);
      EXPECT_EQ(fault->sample_seed, 7U);
      EXPECT_EQ(fault->slot_size, size);
      EXPECT_GT(fault->freed->count, 0U);
    }
  }
  TestHeap heap(setup(kPlaceLeft));
  char* const pointer = sample(heap, 8);
  pointer[page_size() - 1] = 0;
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(1, pointer); }), "overflow");
}

// Where everything is a sample, blocks too large for a place lie in their pages like one.

constexpr std::size_t kLarge = 1'000'000;

TEST_P(Samples, large_blocks_lie_where_a_sample_would) {
  const std::size_t pages = align_up(kLarge, page_size());
  for (const std::uint64_t placement : {kPlaceRight, kPlaceExact}) {
    TestHeap heap(setup(placement));
    for (const std::size_t size : {kLarge + 5, kLarge + 8, pages - 1, pages}) {
      auto* const block = static_cast<char*>(heap.allocate(0, size));
      EXPECT_EQ(page_rest(block, size), placement == kPlaceExact ? 0 : align_up(size, kGrain) - size) << size;
      EXPECT_TRUE(std::all_of(block, block + size, [](char byte) { return byte == 0; }));
      EXPECT_EQ(read_end(block + size + page_rest(block, size)), -SIGSEGV);
      EXPECT_EQ(heap.usable_size(block), size + page_rest(block, size));
      std::memset(block, 1, size);
      EXPECT_STREQ(heap.verify(), "");
      heap.deallocate(1, block);
      EXPECT_EQ(read_end(block), -SIGSEGV);
    }
    for (const std::size_t alignment : {std::size_t{64}, page_size(), kUnit}) {
      void* const block = heap.allocate_aligned(0, alignment, kLarge + 5);
      EXPECT_EQ(address_of(block) % alignment, 0U);
      EXPECT_LT(page_rest(block, kLarge + 5), std::min(alignment, page_size()));
      heap.deallocate(0, block);
    }
  }
  TestHeap heap(setup(kPlaceLeft));
  EXPECT_EQ(address_of(heap.allocate(0, kLarge + 5)) % page_size(), 0U);
}

TEST_P(Samples, large_blocks_keep_their_contents_in_realloc_and_their_end) {
  TestHeap heap(setup(kPlaceExact));
  auto* block = static_cast<char*>(heap.allocate(0, kLarge));
  std::size_t kept = kLarge;
  for (std::size_t i = 0; i != kept; ++i) block[i] = static_cast<char>(i % 251);
  for (const std::size_t size : {kLarge, kLarge + 1, 5 * kLarge, kLarge + 77, kLarge - 4096, std::size_t{300}}) {
    char* const before = block;
    block = static_cast<char*>(heap.reallocate(0, before, size));
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(block == before, size == kLarge);
    EXPECT_EQ(page_rest(block, size), 0U) << size;
    EXPECT_EQ(read_end(block + size), -SIGSEGV);
    kept = std::min(kept, size);
    for (std::size_t i = 0; i != kept; ++i) ASSERT_EQ(block[i], static_cast<char>(i % 251)) << size;
    if (block != before) {
      EXPECT_EQ(read_end(before), -SIGSEGV);
    }
  }
  EXPECT_STREQ(heap.verify(), "");
}

TEST_P(Samples, large_blocks_are_known_by_where_they_start) {
  const auto death = [](auto misuse) {
    TestHeap heap(setup());
    auto* const block = static_cast<char*>(heap.allocate(0, kLarge + 1));
    return std::string(heap.death_of([&] { misuse(heap, block); }));
  };
  const auto free_at = [](std::ptrdiff_t offset) {
    return [=](TestHeap& heap, char* block) { heap.deallocate(0, block + offset); };
  };
  EXPECT_EQ(death(free_at(-16)), "interior-pointer");
  EXPECT_EQ(death(free_at(4096)), "interior-pointer");
  EXPECT_EQ(death(free_at(4)), "misaligned-pointer");
  EXPECT_EQ(death([](TestHeap& heap, char* block) {
              heap.deallocate(0, block);
              heap.deallocate(1, block);
            }),
            "double-free");
}

TEST_P(Samples, large_blocks_tell_what_was_written_around_them_when_they_are_freed) {
  for (const std::ptrdiff_t at : {-1, -100, static_cast<int>(kLarge) + 1, static_cast<int>(kLarge) + 10}) {
    TestHeap::Setup with_sizes = setup();
    with_sizes.options.exact_size = 1;
    TestHeap heap(with_sizes);
    auto* const block = static_cast<char*>(heap.allocate(0, kLarge + 1));
    EXPECT_EQ(heap.usable_size(block), kLarge + 1);
    void* start = nullptr;
    std::size_t bytes = 0;
    EXPECT_TRUE(heap.allocator().bounds_of(block + 5, &start, &bytes));
    EXPECT_EQ(start, block);
    EXPECT_EQ(bytes, kLarge + 1);
    EXPECT_FALSE(heap.allocator().bounds_of(block - 1, &start, &bytes));
    block[at] = 1;
    const auto fault = heap.fault_of([&] { heap.deallocate(0, block); });
    ASSERT_TRUE(fault);
    EXPECT_EQ(fault->fault, at < 0 ? Fault::underflow : Fault::overflow);
    EXPECT_EQ(fault->address, block);
    EXPECT_EQ(fault->changed, block + at);
  }
}

TEST_P(Samples, die_by_name_of_what_is_no_live_one) {
  const auto death = [](auto misuse) {
    TestHeap heap(setup());
    char* const pointer = sample(heap, 100);
    return std::string(heap.death_of([&] { misuse(heap, pointer); }));
  };
  const auto twice = [](unsigned first, unsigned second) {
    return [=](TestHeap& heap, char* pointer) {
      heap.deallocate(first, pointer);
      heap.deallocate(second, pointer);
    };
  };
  EXPECT_EQ(death(twice(0, 0)), "double-free");
  EXPECT_EQ(death(twice(0, 1)), "double-free");
  EXPECT_EQ(death([](TestHeap& heap, char* pointer) { heap.deallocate(0, pointer + 8); }), "interior-pointer");
  EXPECT_EQ(death([](TestHeap& heap, char* pointer) { heap.deallocate(0, pointer - 48); }), "interior-pointer");
  EXPECT_EQ(death([](TestHeap& heap, char* pointer) { heap.deallocate(0, pointer + 3); }), "misaligned-pointer");
  EXPECT_EQ(death([](TestHeap& heap, char* pointer) {
              heap.deallocate(0, pointer);
              (void)heap.usable_size(pointer);
            }),
            "freed-pointer");
  EXPECT_EQ(death([](TestHeap& heap, char* pointer) {
              heap.deallocate(0, pointer);
              (void)heap.reallocate(0, pointer, 200);
            }),
            "freed-pointer");
  EXPECT_EQ(death([](TestHeap& heap, char* pointer) {
              const_cast<SampleRecord*>(heap.allocator().samples.look(heap.entry(pointer)))->base += 16;
              heap.deallocate(0, pointer + 16);
            }),
            "corrupt-record");
}

TEST_P(Samples, die_of_a_record_that_changed_while_its_place_waited) {
  TestHeap heap(setup());
  char* const pointer = sample(heap, 100);
  auto& record = const_cast<SampleRecord&>(*heap.allocator().samples.look(heap.entry(pointer)));
  heap.deallocate(0, pointer);
  record.place += kUnit;
  EXPECT_STREQ(heap.death_of([&] {
    for (int i = 0; i != 1000; ++i) heap.deallocate(0, heap.allocate(0, 100));
  }),
               "corrupt-record");
}

TEST_P(Samples, must_be_freed_as_they_were_allocated) {
  TestHeap::Setup strict = setup();
  strict.options.family = strict.options.exact_size = 1;
  strict.options.sized_free = kSizedExact;
  const auto death = [&](const Claim& claim) {
    TestHeap heap(strict);
    char* const pointer = sample(heap, 100);
    return std::string(heap.death_of([&] { heap.deallocate(0, pointer, claim); }));
  };
  EXPECT_EQ(death({.size = 100}), "none");
  EXPECT_EQ(death({.size = 101}), "size-mismatch");
  EXPECT_EQ(death({.alignment_log2 = 20}), "alignment-mismatch");
  EXPECT_EQ(death({.family = Family::new_single}), "family-mismatch");
}

TEST_P(Samples, wait_among_others_before_their_place_is_used_again) {
  TestHeap heap(setup());
  char* const first = sample(heap, 40);
  const std::uintptr_t place = align_down(address_of(first), kUnit);
  heap.deallocate(0, first);
  for (unsigned i = 0; i != 30; ++i) {
    char* const other = sample(heap, 40);
    EXPECT_NE(align_down(address_of(other), kUnit), place) << i;
    heap.deallocate(0, other);
  }
  std::set<std::uintptr_t> places;
  for (unsigned i = 0; i != 2000; ++i) {
    char* const other = sample(heap, 40);
    places.insert(align_down(address_of(other), kUnit));
    heap.deallocate(0, other);
  }
  EXPECT_EQ(places.size(), 64U);
}

TEST_P(Samples, leave_what_finds_no_place_to_the_slots) {
  TestHeap heap(setup());
  std::vector<void*> live;
  for (unsigned i = 0; i != 64; ++i) live.push_back(sample(heap, 40));
  void* const slot = heap.allocate(0, 40);
  EXPECT_FALSE(is_sample(heap, slot));
  EXPECT_EQ(heap.stats().samples, 64U);
  EXPECT_EQ(heap.stats().sample_bytes, 64U * 40);
  EXPECT_EQ(heap.stats().live_allocations, 65U);
  heap.deallocate(0, live.back());
  live.pop_back();
  live.push_back(sample(heap, 40));
  for (void* const pointer : live) heap.deallocate(1, pointer);
  heap.deallocate(0, slot);
  EXPECT_EQ(heap.stats().live_allocations, 0U);
  EXPECT_EQ(heap.stats().calls_served, 66U);
  EXPECT_STREQ(heap.verify(), "");
}

TEST_P(Samples, keep_their_contents_in_realloc_and_never_grow_in_place) {
  TestHeap heap(setup());
  auto* pointer = sample(heap, 100);
  for (std::size_t i = 0; i != 100; ++i) pointer[i] = static_cast<char>(i);
  EXPECT_EQ(heap.reallocate(0, pointer, 100), pointer);
  for (const std::size_t size : {101, 99, 5000, 60}) {
    auto* const moved = static_cast<char*>(heap.reallocate(0, pointer, size));
    EXPECT_NE(moved, pointer);
    EXPECT_EQ(heap.usable_size(moved), size);
    for (std::size_t i = 0; i != 60; ++i) ASSERT_EQ(moved[i], static_cast<char>(i));
    EXPECT_EQ(read_end(pointer), -SIGSEGV);
    pointer = moved;
  }
}

TEST_P(Samples, have_bounds) {
  TestHeap heap(setup());
  char* const pointer = sample(heap, 41);
  void* start = nullptr;
  std::size_t size = 0;
  EXPECT_TRUE(heap.allocator().bounds_of(pointer + 40, &start, &size));
  EXPECT_EQ(start, pointer);
  EXPECT_EQ(size, 41U);
  EXPECT_FALSE(heap.allocator().bounds_of(pointer + 41, &start, &size));
  heap.deallocate(0, pointer);
  EXPECT_FALSE(heap.allocator().bounds_of(pointer, &start, &size));
}

TEST_P(Samples, serve_a_busy_heap) {
  TestHeap heap(setup());
  (void)sample(heap, 40);
  heap.heap(0).enter();
  char* const nested = sample(heap, 40);
  heap.heap(0).leave();
  heap.deallocate(0, nested);
  EXPECT_STREQ(heap.verify(), "");
}

/// Where the samples among many allocations lie: their turns, and addresses relative to the first place of the pool.
std::vector<std::pair<unsigned, std::uintptr_t>> sampled(std::uint64_t seed, std::uint64_t heap_seed,
                                                         std::uint64_t interval, Profile profile, unsigned calls) {
  Options options = options_of(profile);
  options.sample_interval = interval;
  options.sample_seed = seed;
  TestHeap heap({.seed = heap_seed, .options = options, .samples = true});
  std::vector<std::pair<unsigned, std::uintptr_t>> found;
  std::uintptr_t pool = 0;
  for (unsigned i = 0; i != calls; ++i) {
    void* const pointer = heap.allocate(0, 40);
    if (is_sample(heap, pointer)) {
      // The pool is one mapping; the lowest address of a step is its first place.
      if (pool == 0)
        heap.allocator().samples.for_each_record([&](const SampleRecord& record, std::uint32_t number) {
          if (number == 1) pool = record.place;
        });
      found.emplace_back(i, address_of(pointer) - pool);
    }
    heap.deallocate(0, pointer);
  }
  return found;
}

TEST(SampleSeed, repeats_which_allocations_are_samples_and_where) {
  // Which slots come when depends on the other seed, not so what a heap counts.
  const auto first = sampled(5, 1, 500, Profile::standard, 100'000);
  EXPECT_EQ(first, sampled(5, 1, 500, Profile::standard, 100'000));
  EXPECT_NE(first, sampled(6, 1, 500, Profile::standard, 100'000));
  EXPECT_EQ(sampled(5, 1, 1, Profile::fuzz, 100), sampled(5, 2, 1, Profile::fuzz, 100));
}

TEST(SampleInterval, is_met_on_average) {
  for (const Profile profile : {Profile::light, Profile::standard, Profile::strict}) {
    double found = 0;
    for (const std::uint64_t seed : {1, 2, 3})
      found += static_cast<double>(sampled(seed, seed, 500, profile, 200'000).size());
    EXPECT_GT(found, 3 * 400 * 0.8) << profile_name(profile);
    EXPECT_LT(found, 3 * 400 * 1.2) << profile_name(profile);
  }
  EXPECT_EQ(sampled(1, 1, 0, Profile::standard, 100'000).size(), 0U);
}

TEST(SampleBudget, bounds_the_mappings_of_guards_by_protection) {
  Options options = all_sampled(false);
  options.guard_budget = 40;  // half of it for samples, two mappings each
  TestHeap heap({.options = options, .samples = true});
  std::vector<void*> live;
  for (unsigned i = 0; i != 20; ++i) live.push_back(heap.allocate(0, 40));
  EXPECT_LE(heap.stats().samples, 10U);
  EXPECT_GT(heap.stats().samples, 0U);
  for (void* const pointer : live) heap.deallocate(0, pointer);
  void* const again = heap.allocate(0, 40);
  EXPECT_TRUE(is_sample(heap, again));
}

TEST(SampleFailure, of_the_kernel_leaves_an_allocation_to_the_slots) {
  for (const SysCall call : {SysCall::guard_remove, SysCall::guard_install, SysCall::map}) {
    TestHeap heap({.options = all_sampled(true), .samples = true});
    (void)sample(heap, 40);
    heap.fails = [&](SysCall made) { return made == call; };
    void* const pointer = heap.allocate(0, 40);
    ASSERT_NE(pointer, nullptr);
    EXPECT_EQ(is_sample(heap, pointer), call != SysCall::guard_remove);
    heap.deallocate(0, pointer);
    heap.fails = nullptr;
    EXPECT_STREQ(heap.verify(), "");
    EXPECT_TRUE(is_sample(heap, heap.allocate(0, 40)));
  }
}

TEST(SampleFailure, to_lay_guards_by_advice_leaves_a_place_that_serves_at_all_its_pages) {
  TestHeap heap({.options = all_sampled(true), .samples = true});
  for (unsigned i = 0; i != 64; ++i) {
    char* const pointer = sample(heap, 40);
    heap.fails = [](SysCall call) { return call == SysCall::guard_install; };
    heap.deallocate(0, pointer);
    heap.fails = nullptr;
    EXPECT_EQ(read_end(pointer), -SIGSEGV);
  }
  for (unsigned i = 0; i != 1000; ++i) {
    char* const pointer = sample(heap, 40);
    std::memset(pointer, 1, 40);
    heap.deallocate(0, pointer);
    ASSERT_STREQ(heap.verify(), "");
  }
}

TEST(SampleTrim, reaches_heaps_whose_allocations_are_all_samples) {
  Options options = all_sampled(true);
  TestHeap heap({.options = options, .samples = true});
  std::vector<void*> live;
  for (unsigned i = 0; i != 8000; ++i) live.push_back(heap.allocate(0, 600));
  for (void* const pointer : live) heap.deallocate(0, pointer);
  const std::uint64_t chunks = heap.stats().chunks;
  (void)sample(heap, 40, 1);
  (void)heap.allocator().trim(&heap.heap(1));
  (void)sample(heap, 40);
  EXPECT_LT(heap.stats().chunks, chunks);
}

TEST(SampleFailure, to_make_a_freed_one_fault_keeps_its_place_out_of_use) {
  TestHeap heap({.options = all_sampled(true), .samples = true});
  char* const pointer = sample(heap, 40);
  heap.fails = [](SysCall) { return true; };
  heap.deallocate(0, pointer);
  heap.fails = nullptr;
  for (unsigned i = 0; i != 1000; ++i) {
    char* const other = sample(heap, 40);
    EXPECT_NE(align_down(address_of(other), kUnit), align_down(address_of(pointer), kUnit));
    heap.deallocate(0, other);
  }
  EXPECT_STREQ(heap.verify(), "");
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(0, pointer); }), "double-free");
}

TEST(SampleFailure, of_the_pools_first_mapping_makes_no_samples) {
  TestHeap heap({.options = all_sampled(true), .samples = true});
  (void)heap.allocate(0, kLargestSlot + 1);
  heap.fails = [](SysCall call) { return call == SysCall::map || call == SysCall::guard_install; };
  (void)heap.allocate(0, 40);
  heap.fails = nullptr;
  EXPECT_EQ(heap.stats().samples, 0U);
  EXPECT_NE(heap.allocate(0, 40), nullptr);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(SampleVerify, finds_what_is_not_so) {
  const auto verdict = [](auto damage) {
    TestHeap heap({.options = all_sampled(true), .samples = true});
    char* const pointer = sample(heap, 40);
    damage(heap, pointer, *const_cast<SampleRecord*>(heap.allocator().samples.look(heap.entry(pointer))));
    return std::string(heap.verify());
  };
  EXPECT_EQ(verdict([](TestHeap&, char*, SampleRecord& record) { record.requested = 41; }),
            "S1 the record of a sample verifies");
  EXPECT_EQ(verdict([](TestHeap&, char* pointer, SampleRecord&) { pointer[40] = 0; }),
            "S2 what lies around a sample is as it was laid");
  EXPECT_EQ(verdict([](TestHeap& heap, char*, SampleRecord&) { ++heap.allocator().samples.live_count; }),
            "S3 the count of samples is true");
  EXPECT_EQ(verdict([](TestHeap& heap, char* pointer, SampleRecord&) {
              heap.arena().registry.set(address_of(pointer), RegistryEntry::of_sample(2000));
            }),
            "R4 every unit of a sample's place is registered as its");
}

TEST(SampleFork, leaves_a_child_whole_samples) {
  TestHeap heap({.options = all_sampled(true), .samples = true});
  char* const mine = sample(heap, 40);
  char* const lost = sample(heap, 40, 1);
  heap.fork_child(0);
  heap.deallocate(0, mine);
  heap.deallocate(0, lost);
  (void)sample(heap, 40);
  EXPECT_STREQ(heap.verify(), "");
}

// What a compiler with -fno-omit-frame-pointer makes of three functions. The address where the outer goes on is what
// must be in the stack of calls.
const void* g_goes_on = nullptr;

[[gnu::noinline]] void* inner(TestHeap& heap) {
  STAVE_KEEP_FRAME();
  g_goes_on = __builtin_return_address(0);
  void* const pointer = heap.allocator().allocate_slow(heap.heap(0), 40);
  __asm__ volatile("" : : : "memory");
  return pointer;
}

[[gnu::noinline]] void* outer(TestHeap& heap) {
  STAVE_KEEP_FRAME();
  void* const pointer = inner(heap);
  __asm__ volatile("" : : : "memory");
  return pointer;
}

TEST(SampleCalls, are_found_along_frame_pointers) {
  TestHeap heap({.options = all_sampled(true), .samples = true});
  (void)sample(heap, 40);  // gives the thread its heap
  void* const pointer = outer(heap);
  const SampleRecord& record = *heap.allocator().samples.look(heap.entry(pointer));
  const auto* const end = record.allocated.frames + record.allocated.count;
  EXPECT_NE(std::find(record.allocated.frames, end, address_of(g_goes_on)), end);
  EXPECT_EQ(record.freed.count, 0U);
  heap.deallocate(0, pointer);
  EXPECT_GT(record.freed.count, 0U);
  EXPECT_NE(record.freed.thread, 0U);
}

}  // namespace
}  // namespace stave
