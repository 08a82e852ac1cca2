// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "heap/large.hpp"

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

constexpr std::size_t kLarge = 400'000;

/// Every access costs many times as much.
#if defined(__SANITIZE_THREAD__)
constexpr bool kSlowed = true;
#elif defined(__has_feature)
constexpr bool kSlowed = __has_feature(thread_sanitizer);
#else
constexpr bool kSlowed = false;
#endif

/// Guards by advice, and by protection.
class Large : public testing::TestWithParam<bool> {
 protected:
  static TestHeap::Setup setup(std::size_t units = 4096, std::uint64_t quarantine_kb = 0) {
    Options options = test::options_with(Profile::standard, GetParam());
    if (quarantine_kb != 0) options.quarantine_large_kb = quarantine_kb;
    return {.units = units, .options = options};
  }
};
INSTANTIATE_TEST_SUITE_P(Guards, Large, testing::Bool(),
                         [](const auto& guards) { return guards.param ? "by_advice" : "by_protection"; });

TEST_P(Large, is_zeroed_page_aligned_and_wholly_usable) {
  TestHeap heap(setup());
  std::set<char*> starts;
  for (const std::size_t size : {kLargestSlot + 1, kLarge, std::size_t{1} << 20, (std::size_t{5} << 20) + 1}) {
    auto* const block = static_cast<char*>(heap.allocate(0, size));
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(starts.insert(block).second);
    EXPECT_EQ(address_of(block) % page_size(), 0U);
    const std::size_t usable = heap.usable_size(block);
    EXPECT_GE(usable, size);
    EXPECT_LT(usable - size, page_size());
    for (std::size_t at = 0; at != usable; ++at) ASSERT_EQ(block[at], 0);
    std::memset(block, 0x5a, usable);
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST_P(Large, faults_on_the_byte_before_and_the_byte_behind) {
  TestHeap heap(setup());
  auto* const block = static_cast<char*>(heap.allocate(0, kLarge));
  ASSERT_NE(block, nullptr);
  const std::size_t usable = heap.usable_size(block);
  EXPECT_EQ(read_end(block - 1), -SIGSEGV);
  EXPECT_EQ(write_end(block - page_size()), -SIGSEGV);
  EXPECT_EQ(read_end(block + usable), -SIGSEGV);
  EXPECT_EQ(write_end(block + usable + page_size() - 1), -SIGSEGV);
  EXPECT_EQ(write_end(block), test::kSurvived);
  EXPECT_EQ(write_end(block + usable - 1), test::kSurvived);
  EXPECT_EQ(heap.stats().guards_skipped, 0U);
}

TEST_P(Large, the_whole_rest_of_its_units_is_guard) {
  TestHeap heap(setup());
  auto* const block = static_cast<char*>(heap.allocate(0, kLarge));
  const LargeRecord& record = *heap.allocator().large.find_live(block, heap.entry(block), Fault::internal);
  EXPECT_EQ(record.mapping % kUnit, 0U);
  EXPECT_EQ(record.mapping_bytes % kUnit, 0U);
  EXPECT_EQ(read_end(reinterpret_cast<char*>(record.mapping)), -SIGSEGV);
  EXPECT_EQ(read_end(reinterpret_cast<char*>(record.mapping + record.mapping_bytes - 1)), -SIGSEGV);
}

TEST_P(Large, freed_memory_faults_at_once) {
  TestHeap heap(setup());
  auto* const block = static_cast<char*>(heap.allocate(0, kLarge));
  block[0] = 1;
  heap.deallocate(0, block);
  EXPECT_EQ(read_end(block), -SIGSEGV);
  EXPECT_EQ(write_end(block + kLarge - 1), -SIGSEGV);
  EXPECT_STREQ(heap.verify(), "");
}

TEST_P(Large, freed_address_space_stays_out_of_use_while_the_quarantine_has_room) {
  TestHeap heap(setup(4096, 16 << 10));  // 16 MiB
  std::set<void*> freed;
  for (int i = 0; i != 20; ++i) {
    void* const block = heap.allocate(0, kLarge);
    EXPECT_TRUE(freed.insert(block).second) << "came back after " << i;
    heap.deallocate(0, block);
  }
  // What leaves the quarantine is the oldest, and its place serves again.
  bool again = false;
  for (int i = 0; i != 100; ++i) {
    void* const block = heap.allocate(0, kLarge);
    again |= !freed.insert(block).second;
    heap.deallocate(0, block);
  }
  EXPECT_TRUE(again);
  EXPECT_LE(heap.stats().mapped_bytes, (16U << 20) + (4U << 20));
  EXPECT_STREQ(heap.verify(), "");
}

/// Of a block that nobody has written to: how many of its pages have memory already.
std::size_t resident(const void* block, std::size_t bytes) {
  return KernelPages{}.resident_bytes(block, align_up(bytes, page_size())) / page_size();
}

TEST_P(Large, pages_of_a_dense_block_serve_the_next_one_zeroed_elsewhere) {
  TestHeap heap(setup());
  for (const std::size_t size : {kLarge, std::size_t{3} << 20, std::size_t{2} << 20}) {
    auto* const first = static_cast<char*>(heap.allocate(0, kLarge));
    ASSERT_NE(first, nullptr);
    std::memset(first, 0x5a, kLarge);
    heap.deallocate(0, first);
    EXPECT_EQ(read_end(first), -SIGSEGV);
    EXPECT_EQ(write_end(first + kLarge - 1), -SIGSEGV);
    auto* const next = static_cast<char*>(heap.allocate(0, size));
    ASSERT_NE(next, nullptr);
    EXPECT_NE(next, first);
    EXPECT_EQ(resident(next, size), align_up(kLarge, page_size()) / page_size());
    for (std::size_t at = 0; at != size; ++at) ASSERT_EQ(next[at], 0) << at;
    EXPECT_EQ(read_end(first), -SIGSEGV) << "its pages are gone, and nothing is to be seen in their place";
    EXPECT_EQ(read_end(next - 1), -SIGSEGV);
    EXPECT_EQ(read_end(next + heap.usable_size(next)), -SIGSEGV);
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST_P(Large, spare_pages_serve_several_smaller_blocks) {
  TestHeap heap(setup());
  auto* const first = static_cast<char*>(heap.allocate(0, 4 * kLarge));
  std::memset(first, 0x5a, 4 * kLarge);
  heap.deallocate(0, first);
  for (int i = 0; i != 4; ++i) {
    auto* const next = static_cast<char*>(heap.allocate(0, kLarge));
    EXPECT_GE(resident(next, kLarge), kLarge / page_size()) << i;
    for (std::size_t at = 0; at != kLarge; ++at) ASSERT_EQ(next[at], 0) << at;
  }
  EXPECT_STREQ(heap.verify(), "");
}

/// Allocates a block of `size` and writes to all of it.
char* dense(TestHeap& heap, std::size_t size) {
  auto* const block = static_cast<char*>(heap.allocate(0, size));
  if (block != nullptr) std::memset(block, 0x5a, size);
  return block;
}

bool is_zero(const char* block, std::size_t bytes) {
  return std::all_of(block, block + bytes, [](char byte) { return byte == 0; });
}

TEST_P(Large, pages_of_several_blocks_serve_one_and_their_places_fault_as_before) {
  TestHeap heap(setup());
  // The place of spare pages starts small, and is empty when it becomes larger.
  heap.deallocate(0, dense(heap, 4 * kLarge));
  ASSERT_NE(heap.allocate(0, 4 * kLarge), nullptr);
  std::vector<char*> freed;
  for (int i = 0; i != 5; ++i) freed.push_back(dense(heap, kLarge + static_cast<std::size_t>(i) * 50'000));
  for (char* const block : freed) heap.deallocate(0, block);
  constexpr std::size_t kAll = 5 * kLarge;
  auto* const next = static_cast<char*>(heap.allocate(0, kAll));
  ASSERT_NE(next, nullptr);
  EXPECT_GE(resident(next, kAll), kAll / page_size()) << "of pieces of all of them";
  EXPECT_TRUE(is_zero(next, kAll));
  for (char* const block : freed) {
    EXPECT_EQ(read_end(block), -SIGSEGV);
    EXPECT_EQ(write_end(block + kLarge - 1), -SIGSEGV);
  }
  EXPECT_STREQ(heap.verify(), "");
  // What consists of several mappings is kept as well, and serves several.
  std::memset(next, 0x5a, kAll);
  heap.deallocate(0, next);
  EXPECT_EQ(write_end(next + kAll / 2), -SIGSEGV);
  for (int i = 0; i != 4; ++i) {
    auto* const block = static_cast<char*>(heap.allocate(0, kLarge));
    EXPECT_GE(resident(block, kLarge), kLarge / page_size() - 15);
    EXPECT_TRUE(is_zero(block, kLarge));
  }
  EXPECT_STREQ(heap.verify(), "");
}

TEST_P(Large, what_grows_gets_spare_pages_zeroed_in_place_or_not) {
  TestHeap heap(setup());
  heap.deallocate(0, dense(heap, std::size_t{8} << 20));
  char* block = dense(heap, kLarge);
  std::size_t old = heap.usable_size(block);
  for (const std::size_t size : {3 * kLarge, 4 * kLarge, 5 * kLarge, 9 * kLarge}) {
    block = static_cast<char*>(heap.reallocate(0, block, size));
    ASSERT_NE(block, nullptr);
    const std::size_t usable = heap.usable_size(block);
    ASSERT_GE(resident(block, usable), usable / page_size()) << size;
    EXPECT_TRUE(std::all_of(block, block + kLarge, [](char byte) { return byte == 0x5a; })) << size;
    ASSERT_TRUE(is_zero(block + old, usable - old)) << size;
    EXPECT_EQ(read_end(block + usable), -SIGSEGV);
    std::memset(block, 0x5a, usable);
    old = usable;
    EXPECT_STREQ(heap.verify(), "");
  }
}

/// Kernels before 6.17 move only what lies within one mapping.
TEST_P(Large, pages_move_piece_by_piece_where_the_kernel_does_not_move_several_mappings_at_once) {
  TestHeap heap(setup());
  const auto make = [&] {
    std::vector<char*> freed;
    for (int i = 0; i != 4; ++i) freed.push_back(dense(heap, kLarge));
    for (char* const block : freed) heap.deallocate(0, block);
    auto* const block = static_cast<char*>(heap.allocate(0, 4 * kLarge));
    for (std::size_t at = 0; at != 4 * kLarge; ++at) block[at] = static_cast<char>(at * 31 >> 3);
    return block;
  };
  char* block = make();
  std::uint64_t moves = 0;
  // A piece that does not move after another one did is copied.
  moves = 0;
  heap.fails = [&](SysCall call) { return call == SysCall::remap && moves++ == 1; };
  block = static_cast<char*>(heap.reallocate(0, block, 20 * kLarge));
  heap.fails = nullptr;
  ASSERT_NE(block, nullptr);
  EXPECT_GE(moves, 3U);
  for (std::size_t at = 0; at != 4 * kLarge; ++at) ASSERT_EQ(block[at], static_cast<char>(at * 31 >> 3)) << at;
  EXPECT_TRUE(is_zero(block + 4 * kLarge, 16 * kLarge));
  EXPECT_STREQ(heap.verify(), "");
  heap.deallocate(0, block);
  EXPECT_EQ(read_end(block), -SIGSEGV);
  // What waits is asked for at once first. A piece of it that does not move goes, and the others wait.
  (void)heap.trim(0);
  block = make();
  moves = 0;
  heap.fails = [&](SysCall call) { return call == SysCall::remap && moves++ <= 1; };
  heap.deallocate(0, block);
  heap.fails = nullptr;
  EXPECT_GE(moves, 4U);
  EXPECT_EQ(read_end(block), -SIGSEGV);
  block = static_cast<char*>(heap.allocate(0, 4 * kLarge));
  EXPECT_GE(resident(block, 4 * kLarge), 2 * kLarge / page_size());
  EXPECT_LT(resident(block, 4 * kLarge), 4 * kLarge / page_size());
  EXPECT_TRUE(is_zero(block, 4 * kLarge));
  EXPECT_STREQ(heap.verify(), "");
}

/// The kernel may unmap where pages shall go, and then not move them.
TEST_P(Large, whose_place_is_lost_while_spare_pages_come_says_no_and_loses_nothing) {
  TestHeap heap(setup());
  const auto lose_a_place = [lost = false](SysCall call) mutable {
    const bool now = call == SysCall::remap || (lost && call == SysCall::map);
    lost = call == SysCall::remap;
    return now;
  };
  heap.deallocate(0, dense(heap, 4 * kLarge));
  heap.fails = lose_a_place;
  EXPECT_EQ(heap.allocate(0, 2 * kLarge), nullptr);
  heap.fails = nullptr;
  EXPECT_STREQ(heap.verify(), "");
  char* block = static_cast<char*>(heap.allocate(0, 2 * kLarge));
  ASSERT_NE(block, nullptr);
  EXPECT_TRUE(is_zero(block, 2 * kLarge));

  // One that would grow in place stays as it is.
  heap.deallocate(0, dense(heap, 4 * kLarge));
  block = static_cast<char*>(heap.reallocate(0, block, 2 * kLarge + kLarge / 2));
  ASSERT_NE(block, nullptr);
  const std::size_t usable = heap.usable_size(block);
  std::memset(block, 0x5a, usable);
  heap.fails = lose_a_place;
  void* const moved = heap.reallocate(0, block, usable + kLarge);
  heap.fails = nullptr;
  if (moved == nullptr) {
    EXPECT_EQ(heap.usable_size(block), usable);
    EXPECT_EQ(read_end(block + usable), -SIGSEGV);
  } else {
    block = static_cast<char*>(moved);
  }
  EXPECT_TRUE(std::all_of(block, block + usable, [](char byte) { return byte == 0x5a; }));
  EXPECT_STREQ(heap.verify(), "");
}

TEST_P(Large, spare_pages_are_bounded_in_sum) {
  Options options = test::options_with(Profile::standard, GetParam());
  options.spare_large_kb = 4 << 10;
  TestHeap heap({.units = 4096, .options = options});
  std::vector<char*> blocks;
  for (int i = 0; i != 40; ++i) blocks.push_back(dense(heap, kLarge));
  for (char* const block : blocks) heap.deallocate(0, block);
  EXPECT_LE(KernelPages{}.resident_bytes(heap.region(), heap.region_bytes()), (std::size_t{4} << 20) + (1U << 20));
  std::size_t pages = 0;
  for (char*& block : blocks) {
    block = static_cast<char*>(heap.allocate(0, kLarge));
    pages += resident(block, kLarge);
  }
  EXPECT_LE(pages * page_size(), std::size_t{4} << 20);
  EXPECT_GE(pages * page_size(), std::size_t{3} << 20);
  for (char* const block : blocks) {
    std::memset(block, 1, kLarge);
    heap.deallocate(0, block);
  }
  (void)heap.trim(0);
  EXPECT_LE(KernelPages{}.resident_bytes(heap.region(), heap.region_bytes()), std::size_t{1} << 20) << "trim";
}

TEST_P(Large, the_place_of_spare_pages_goes_before_memory_is_out) {
  TestHeap heap(setup(160));  // 10 MiB
  heap.deallocate(0, dense(heap, std::size_t{1} << 20));
  EXPECT_NE(heap.allocate(0, std::size_t{9} << 20), nullptr);
  EXPECT_STREQ(heap.verify(), "");
}

/// Whatever sizes come and go, and whichever calls fail: what is handed out is zero, what is live stays as it is.
TEST_P(Large, any_order_of_sizes_keeps_contents) {
  TestHeap heap(setup());
  struct Block {
    char* start;
    std::size_t size;
    char salt;
  };
  std::vector<Block> live;
  std::uint64_t state = 88172645463325252U;
  const auto below = [&](std::uint64_t limit) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state % limit;
  };
  const auto holds = [](const Block& block, std::size_t bytes) {
    return std::all_of(block.start, block.start + bytes, [&](char byte) { return byte == block.salt; });
  };
  const int steps = kSlowed ? 90 : 900;
  for (int step = 0; step != steps; ++step) {
    if (step == steps / 3) heap.fails = [&](SysCall) { return below(10) == 0; };
    if (step == steps / 3 * 2) heap.fails = [&](SysCall call) { return call == SysCall::remap && below(3) == 0; };
    const std::size_t size = kLargestSlot + 1 + below(below(4) == 0 ? 5'000'000 : 900'000);
    const char salt = static_cast<char>(1 + below(100));
    if (live.size() < 8) {
      auto* const start = static_cast<char*>(heap.allocate(0, size));
      if (start == nullptr) continue;
      ASSERT_TRUE(is_zero(start, heap.usable_size(start))) << step;
      live.push_back({start, size, salt});
      std::memset(start, salt, size);
      continue;
    }
    Block& block = live[below(live.size())];
    ASSERT_TRUE(holds(block, block.size)) << step;
    if (below(2) == 0) {
      heap.deallocate(0, block.start);
      if (heap.fails == nullptr) {
        ASSERT_EQ(read_end(block.start + below(block.size)), -SIGSEGV) << step;
      }
      block = live.back();
      live.pop_back();
    } else {
      auto* const start = static_cast<char*>(heap.reallocate(0, block.start, size));
      if (start == nullptr) continue;
      const Block now{start, size, block.salt};
      ASSERT_TRUE(holds(now, std::min(size, block.size))) << step;
      block = now;
      std::memset(start, block.salt, size);
    }
    ASSERT_STREQ(heap.verify(), "") << step;
  }
  heap.fails = nullptr;
  for (const Block& block : live) {
    ASSERT_TRUE(holds(block, block.size));
    heap.deallocate(0, block.start);
  }
  (void)heap.trim(0);
  (void)heap.trim(0);
  EXPECT_EQ(heap.stats().live_bytes, 0U);
  EXPECT_LE(heap.stats().mapped_bytes, std::size_t{1} << 20) << "nothing is lost";
}

TEST_P(Large, guards_have_random_numbers_of_pages_on_both_sides) {
  constexpr std::size_t kMost = 16;
  constexpr int kBlocks = 1700;
  TestHeap heap(setup());
  const std::size_t page = page_size();
  std::vector<int> before(kMost + 2);
  std::set<std::size_t> behind;
  for (int i = 0; i != kBlocks; ++i) {
    void* const block = heap.allocate(0, kLarge);
    const LargeRecord& record = *heap.allocator().large.find_live(block, heap.entry(block), Fault::internal);
    const std::size_t front = (record.base - record.mapping) / page;
    ASSERT_GE(front, 1U);
    ASSERT_LE(front, kMost + 1);
    ++before[front];
    const std::size_t rest = record.mapping + record.mapping_bytes - (record.base + record.usable);
    ASSERT_GE(rest, page);
    ASSERT_LT(rest, (kMost + 1) * page + kUnit);
    behind.insert(rest / page);
    heap.deallocate(0, block);
  }
  // A hundred expected of each of 17: six standard deviations.
  for (std::size_t pages = 1; pages != before.size(); ++pages) {
    EXPECT_GT(before[pages], 40) << pages;
    EXPECT_LT(before[pages], 160) << pages;
  }
  EXPECT_GE(behind.size(), kMost + 1);
}

TEST_P(Large, no_pages_are_kept_of_sparse_or_huge_blocks_nor_after_trim_nor_without_the_option) {
  const auto kept = [](TestHeap& heap, std::size_t size, std::size_t touched, bool trim) {
    auto* const first = static_cast<char*>(heap.allocate(0, size));
    std::memset(first, 1, touched);
    heap.deallocate(0, first);
    if (trim) (void)heap.trim(0);
    return resident(heap.allocate(0, kLarge), kLarge) != 0;
  };
  TestHeap heap(setup());
  EXPECT_TRUE(kept(heap, kLarge, kLarge, false));
  EXPECT_FALSE(kept(heap, kLarge, kLarge / 2, false));
  EXPECT_FALSE(kept(heap, kLarge, kLarge, true));
  EXPECT_FALSE(kept(heap, std::size_t{65} << 20, std::size_t{65} << 20, false));
  Options options = test::options_with(Profile::standard, GetParam());
  options.spare_large_kb = 0;
  TestHeap without({.units = 4096, .options = options});
  EXPECT_FALSE(kept(without, kLarge, kLarge, false));
}

TEST_P(Large, that_was_freed_last_is_known_however_large_it_was) {
  TestHeap heap(setup(4096, 1));
  void* const first = heap.allocate(0, 2 * kLarge);
  void* const second = heap.allocate(0, 2 * kLarge);
  heap.deallocate(0, first);
  EXPECT_STREQ(heap.verify(), "");
  EXPECT_EQ(read_end(static_cast<char*>(first)), -SIGSEGV);
  heap.deallocate(0, second);
  EXPECT_EQ(heap.entry(first).kind(), UnitKind::none);
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(0, second); }), "double-free");
}

TEST_P(Large, quarantine_is_bounded_by_number) {
  TestHeap heap(setup(8192));
  for (int i = 0; i != 600; ++i) heap.deallocate(0, heap.allocate(0, kLargestSlot + 1));
  std::uint64_t held = 0;
  heap.allocator().large.for_each_record(
      [&](const LargeRecord& record, std::uint32_t) { held += record.state == LargeRecord::State::held ? 1 : 0; });
  EXPECT_LE(held, 256U);
  EXPECT_GE(held, 64U);
}

TEST_P(Large, space_kept_out_of_use_goes_before_memory_is_out) {
  TestHeap heap(setup(128));  // 8 MiB
  for (int i = 0; i != 50; ++i) {
    void* const block = heap.allocate(0, 2 << 20);
    ASSERT_NE(block, nullptr) << i;
    heap.deallocate(0, block);
  }
  void* const most = heap.allocate(0, 6 << 20);
  EXPECT_NE(most, nullptr);
  EXPECT_EQ(heap.allocate(0, 6 << 20), nullptr);
  heap.deallocate(0, most);
  EXPECT_NE(heap.allocate(0, 6 << 20), nullptr);
}

TEST_P(Large, space_that_the_kernel_will_not_take_back_is_not_lost) {
  TestHeap heap(setup(128));  // 8 MiB
  heap.deallocate(0, heap.allocate(0, 6 << 20));
  heap.fails = [](SysCall call) { return call == SysCall::unmap; };
  EXPECT_FALSE(heap.trim(0));
  EXPECT_EQ(heap.allocate(0, 6 << 20), nullptr) << "the place is held, and cannot go";
  EXPECT_STREQ(heap.verify(), "");
  heap.fails = nullptr;
  EXPECT_NE(heap.allocate(0, 6 << 20), nullptr);
  EXPECT_STREQ(heap.verify(), "");
}

TEST_P(Large, trim_gives_back_what_is_kept_out_of_use) {
  TestHeap heap(setup());
  void* const block = heap.allocate(0, kLarge);
  const std::uint64_t before = heap.stats().mapped_bytes;
  heap.deallocate(0, block);
  EXPECT_EQ(heap.stats().mapped_bytes, before);
  EXPECT_TRUE(heap.trim(0));
  EXPECT_LT(heap.stats().mapped_bytes, before);
  EXPECT_FALSE(heap.trim(0));
  EXPECT_EQ(heap.entry(block).kind(), UnitKind::none);
}

TEST_P(Large, wrong_frees_die_by_name) {
  const auto death = [](auto misuse) {
    TestHeap heap(setup());
    auto* const block = static_cast<char*>(heap.allocate(0, kLarge));
    return std::string(heap.death_of([&] { misuse(heap, block); }));
  };
  const std::size_t page = page_size();
  EXPECT_EQ(death([](TestHeap& heap, char* block) { heap.deallocate(0, block); }), "none");
  for (const unsigned thread : {0U, 1U}) {
    EXPECT_EQ(death([&](TestHeap& heap, char* block) { heap.deallocate(thread, block + 16); }), "interior-pointer");
    EXPECT_EQ(death([&](TestHeap& heap, char* block) { heap.deallocate(thread, block + page); }), "interior-pointer");
    EXPECT_EQ(death([&](TestHeap& heap, char* block) { heap.deallocate(thread, block - page); }), "interior-pointer");
    EXPECT_EQ(death([&](TestHeap& heap, char* block) { heap.deallocate(thread, block + 65536); }), "interior-pointer");
    EXPECT_EQ(death([&](TestHeap& heap, char* block) { heap.deallocate(thread, block + 4); }), "misaligned-pointer");
    EXPECT_EQ(
        death([&](TestHeap& heap, char* block) { heap.deallocate(thread, block), heap.deallocate(1 - thread, block); }),
        "double-free");
    EXPECT_EQ(
        death([&](TestHeap& heap, char* block) { heap.deallocate(thread, block), heap.deallocate(thread, block); }),
        "double-free");
    EXPECT_EQ(death([&](TestHeap& heap, char* block) {
                heap.deallocate(thread, block);
                heap.trim(0);
                heap.deallocate(thread, block);
              }),
              "foreign-pointer");
  }
  EXPECT_EQ(death([](TestHeap& heap, char* block) { heap.deallocate(0, block), (void)heap.usable_size(block); }),
            "freed-pointer");
  EXPECT_EQ(death([](TestHeap& heap, char* block) {
              heap.deallocate(0, block), (void)heap.reallocate(0, block, 2 * kLarge);
            }),
            "freed-pointer");
  EXPECT_EQ(death([](TestHeap& heap, char* block) { (void)heap.usable_size(block + 8); }), "interior-pointer");
}

TEST_P(Large, a_damaged_record_is_noticed_by_whoever_reads_it) {
  const auto death = [](auto damage, auto use) {
    TestHeap heap(setup());
    auto* const block = static_cast<char*>(heap.allocate(0, kLarge));
    damage(*heap.allocator().large.find_live(block, heap.entry(block), Fault::internal));
    return std::string(heap.death_of([&] { use(heap, block); }));
  };
  const auto with_each_use = [&](auto damage) {
    EXPECT_EQ(death(damage, [](TestHeap& heap, char* block) { heap.deallocate(0, block); }), "corrupt-record");
    EXPECT_EQ(death(damage, [](TestHeap& heap, char* block) { heap.deallocate(1, block); }), "corrupt-record");
    EXPECT_EQ(death(damage, [](TestHeap& heap, char* block) { (void)heap.usable_size(block); }), "corrupt-record");
    EXPECT_EQ(death(damage, [](TestHeap& heap, char* block) { (void)heap.reallocate(0, block, 1); }), "corrupt-record");
  };
  with_each_use([](LargeRecord& record) { record.base += 4096; });
  with_each_use([](LargeRecord& record) { record.usable += 4096; });
  with_each_use([](LargeRecord& record) { record.family = static_cast<Family>(200); });
  with_each_use([](LargeRecord& record) { record.lead += 16; });
  with_each_use([](LargeRecord& record) { record.mapping -= kUnit; });
  with_each_use([](LargeRecord& record) { record.mapping_bytes += kUnit; });
  with_each_use([](LargeRecord& record) { record.limit += 4096; });
  with_each_use([](LargeRecord& record) { record.cuts[record.cut_count++] = 4096; });
  with_each_use([](LargeRecord& record) { record.cut_count += 1000; });
  with_each_use([](LargeRecord& record) { record.state = LargeRecord::State::held; });
  with_each_use([](LargeRecord& record) { record.seal ^= 1; });
  // Another block's record, seal and all.
  TestHeap heap(setup());
  void* const a = heap.allocate(0, kLarge);
  void* const b = heap.allocate(0, kLarge);
  auto& large = heap.allocator().large;
  sanitizer::copy_own(large.find_live(a, heap.entry(a), Fault::internal),
                      large.find_live(b, heap.entry(b), Fault::internal), sizeof(LargeRecord));
  EXPECT_STREQ(heap.death_of([&] { heap.deallocate(0, a); }), "corrupt-record");
}

TEST_P(Large, a_damaged_record_in_the_quarantine_or_on_the_unused_list_is_noticed) {
  {
    TestHeap heap(setup());
    void* const block = heap.allocate(0, kLarge);
    LargeRecord& record = *heap.allocator().large.find_live(block, heap.entry(block), Fault::internal);
    heap.deallocate(0, block);
    record.mapping += kUnit;
    EXPECT_STREQ(heap.death_of([&] { (void)heap.trim(0); }), "corrupt-record");
  }
  {
    TestHeap heap(setup());
    void* const block = heap.allocate(0, kLarge);
    LargeRecord& record = *heap.allocator().large.find_live(block, heap.entry(block), Fault::internal);
    heap.deallocate(0, block);
    (void)heap.trim(0);
    record.state = LargeRecord::State::live;
    EXPECT_STREQ(heap.death_of([&] { (void)heap.allocate(0, kLarge); }), "corrupt-record");
  }
  for (const std::uint32_t next : {0U, 1U << 30}) {  // no seal covers it
    TestHeap heap(setup());
    void* const block = heap.allocate(0, kLarge);
    void* const other = heap.allocate(0, kLarge);
    LargeRecord& record = *heap.allocator().large.find_live(block, heap.entry(block), Fault::internal);
    heap.deallocate(0, block);
    heap.deallocate(0, other);
    record.next = next;
    EXPECT_STREQ(heap.death_of([&] { (void)heap.trim(0); }), "corrupt-record") << next;
  }
}

TEST_P(Large, bounds_are_known_from_any_address_inside) {
  TestHeap heap(setup());
  auto* const block = static_cast<char*>(heap.allocate(0, kLarge));
  const std::size_t usable = heap.usable_size(block);
  for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, std::size_t{65536}, usable - 1}) {
    void* start = nullptr;
    std::size_t size = 0;
    ASSERT_TRUE(heap.allocator().bounds_of(block + offset, &start, &size));
    EXPECT_EQ(start, block);
    EXPECT_EQ(size, usable);
  }
  void* start = nullptr;
  std::size_t size = 0;
  EXPECT_FALSE(heap.allocator().bounds_of(block - 1, &start, &size));
  EXPECT_FALSE(heap.allocator().bounds_of(block + usable, &start, &size));
  heap.deallocate(0, block);
  EXPECT_FALSE(heap.allocator().bounds_of(block, &start, &size));
}

TEST_P(Large, resizing_keeps_contents_and_gives_zeroes) {
  TestHeap heap(setup());
  auto* block = static_cast<char*>(heap.allocate(0, kLarge));
  for (std::size_t at = 0; at != kLarge; ++at) block[at] = static_cast<char>(at * 31 >> 3);
  std::size_t kept = kLarge;
  for (const std::size_t size :
       {kLarge + 5000, 3 * kLarge, 3 * kLarge - 4096, kLarge + 1, 10 * kLarge, 2 * kLarge, kLargestSlot + 1}) {
    void* const old = block;
    block = static_cast<char*>(heap.reallocate(0, block, size));
    ASSERT_NE(block, nullptr);
    kept = std::min(kept, size);
    for (std::size_t at = 0; at != kept; ++at) ASSERT_EQ(block[at], static_cast<char>(at * 31 >> 3)) << size;
    EXPECT_GE(heap.usable_size(block), size);
    EXPECT_EQ(read_end(block - 1), -SIGSEGV);
    EXPECT_EQ(read_end(block + heap.usable_size(block)), -SIGSEGV);
    if (old != block) {
      EXPECT_EQ(read_end(old), -SIGSEGV);
    }
    EXPECT_STREQ(heap.verify(), "");
    EXPECT_EQ(heap.stats().large_blocks, 1U);
    EXPECT_EQ(heap.stats().live_bytes, heap.usable_size(block));
  }
}

TEST_P(Large, what_grows_again_and_again_stays_where_it_is_for_long) {
  TestHeap heap(setup());
  auto* block = static_cast<char*>(heap.allocate(0, kLarge));
  const std::uint64_t guards = heap.stats().guards_installed;
  block[0] = 'a';
  std::size_t places = 0;
  const std::size_t most = std::size_t{kSlowed ? 16 : 64} << 20;
  for (std::size_t size = kLarge; size < most; size += kLarge) {
    auto* const grown = static_cast<char*>(heap.reallocate(0, block, size));
    ASSERT_NE(grown, nullptr);
    if (grown != block) {
      ++places;
      EXPECT_EQ(read_end(block), -SIGSEGV);
    }
    block = grown;
    const std::size_t usable = heap.usable_size(block);
    ASSERT_GE(usable, size);
    ASSERT_EQ(block[usable - 1], 0);
    block[usable - 1] = 'z';
    ASSERT_EQ(block[0], 'a');
    ASSERT_EQ(heap.stats().live_bytes, usable);
    if (places < 8) {
      EXPECT_EQ(read_end(block - 1), -SIGSEGV);
      EXPECT_EQ(read_end(block + usable), -SIGSEGV);
      EXPECT_EQ(read_end(block + usable + usable / 3), -SIGSEGV) << "the room is not for the program yet";
    }
    ASSERT_STREQ(heap.verify(), "");
  }
  EXPECT_LE(places, 30U);  // of the 167 times that it grows, or 41
  EXPECT_EQ(heap.stats().guards_skipped, 0U);
  EXPECT_EQ(heap.stats().guards_installed, guards);
  heap.deallocate(0, block);
  EXPECT_EQ(heap.stats().guards_installed, guards - 2);
  EXPECT_EQ(heap.stats().live_bytes, 0U);
  EXPECT_EQ(read_end(block), -SIGSEGV);
}

TEST_P(Large, grows_without_room_where_address_space_is_short) {
  TestHeap heap(setup(1024));  // 64 MiB
  void* block = heap.allocate(0, std::size_t{4} << 20);
  block = heap.reallocate(0, block, std::size_t{50} << 20);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(heap.reallocate(0, block, std::size_t{61} << 20), nullptr);
  EXPECT_EQ(heap.usable_size(block), std::size_t{50} << 20) << "nothing happened";
  EXPECT_STREQ(heap.verify(), "");
}

TEST_P(Large, any_power_of_two_is_an_alignment) {
  TestHeap heap(setup(16384));
  for (std::size_t alignment = 16; alignment <= std::size_t{64} << 20; alignment *= 2) {
    for (const std::size_t size : {std::size_t{1}, kLarge}) {
      auto* const block = static_cast<char*>(heap.allocate_aligned(0, alignment, size));
      ASSERT_NE(block, nullptr) << alignment;
      EXPECT_EQ(address_of(block) % alignment, 0U);
      block[0] = block[size - 1] = 1;
      if (heap.entry(block).kind() == UnitKind::large) {
        EXPECT_EQ(read_end(block - 1), -SIGSEGV) << alignment;
        EXPECT_EQ(read_end(block + heap.usable_size(block)), -SIGSEGV) << alignment;
        // What the alignment needed and the block does not is given back.
        const LargeRecord& record = *heap.allocator().large.find_live(block, heap.entry(block), Fault::internal);
        EXPECT_LE(record.mapping_bytes, record.usable + 3 * kUnit + 2 * 16 * page_size());
      }
      EXPECT_STREQ(heap.verify(), "");
      heap.deallocate(0, block);
    }
    (void)heap.trim(0);
  }
  EXPECT_EQ(heap.allocate_aligned(0, std::size_t{1} << 62, 1), nullptr);
  EXPECT_EQ(heap.allocate_aligned(0, std::size_t{1} << 63, 1), nullptr);
}

TEST_P(Large, sizes_that_cannot_be_are_refused) {
  TestHeap heap(setup());
  for (const std::size_t size : {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 4095, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX / 4,
                                 SIZE_MAX - kUnit, std::size_t{1} << 40}) {
    EXPECT_EQ(heap.allocate(0, size), nullptr) << size;
    for (const std::size_t alignment :
         {std::size_t{16}, std::size_t{4096}, std::size_t{1} << 20, std::size_t{1} << 62}) {
      EXPECT_EQ(heap.allocate_aligned(0, alignment, size), nullptr) << size;
    }
  }
  EXPECT_EQ(heap.stats().live_allocations, 0U);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(LargeOptions, without_guard_pages_nothing_is_guarded_or_counted) {
  Options options = options_of(Profile::standard);
  options.guard_pages = 0;
  TestHeap heap({.options = options});
  auto* const block = static_cast<char*>(heap.allocate(0, kLarge));
  EXPECT_EQ(read_end(block - 1), test::kSurvived);
  EXPECT_EQ(heap.stats().guards_installed, 0U);
  EXPECT_EQ(heap.stats().guards_skipped, 0U);
  heap.deallocate(0, block);
  EXPECT_STREQ(heap.verify(), "");
}

TEST(LargeOptions, records_are_used_again) {
  TestHeap heap;
  std::set<std::uint32_t> numbers;
  for (int i = 0; i != 1000; ++i) {
    void* const block = heap.allocate(0, kLarge);
    numbers.insert(heap.entry(block).record());
    heap.deallocate(0, block);
    (void)heap.trim(0);
  }
  EXPECT_LE(numbers.size(), 2U);
}

TEST(LargeOptions, guards_in_use_are_counted) {
  TestHeap heap;
  const std::uint64_t before = heap.stats().guards_installed;
  void* const block = heap.allocate(0, kLarge);
  const std::uint64_t with = heap.stats().guards_installed;
  EXPECT_GE(with, before + 2);
  heap.deallocate(0, block);
  EXPECT_EQ(heap.stats().guards_installed, with - 2);
}

}  // namespace
}  // namespace stave
