// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/arena.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/test_child.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

using test::read_end;
using test::write_end;

constexpr bool kAnyPlace = !test::kThreadSanitizer;

Options options_with(bool advice) {
  Options options = options_of(Profile::standard);
  options.guard_advice = advice ? 1 : 0;
  return options;
}

/// Slots that nobody was given are poisoned for memset.
void fill(void* start, std::size_t bytes, unsigned char value) {
  auto* const words = static_cast<volatile unsigned char*>(start);
  for (std::size_t i = 0; i != bytes; ++i) words[i] = value;
}

/// An arena of its own, on the kernel's pages or on a region.
template <class S>
class Fixture {
 public:
  explicit Fixture(Options options = options_of(Profile::standard), std::size_t units = 2048, std::uint64_t seed = 1)
      : used_((units + 63) / 64), entries_(units), units_(units) {
    if (!kAnyPlace) options.chunk_randomize = 0;
    constants.options = options;
    constants.page = page_size();
    constants.derive();
    constants.keys = {.bitmap = {1111, 2222}, .header = {3333, 4444}, .record = {5555, 6666}};
    constants.context = this;
    constants.on_fault = [](void* context, const FaultRecord& record) {
      auto& self = *static_cast<Fixture*>(context);
      self.fault_ = record.fault;
      std::longjmp(self.env_, 1);
    };
    if constexpr (!S::kProcess) {
      region_ = static_cast<char*>(kernel_.map(units * kUnit, 0));
      arena.pages.start(
          region_, units, used_.data(), nullptr,
          [](void* context, unsigned char call) {
            auto& self = *static_cast<Fixture*>(context);
            ++self.calls[call];
            ++self.count;
            return self.fails && self.fails();
          },
          this);
      arena.registry.start(address_of(region_), units, entries_.data());
    }
    arena.start(constants, seed_from_number(seed));
  }
  ~Fixture() {
    if (region_ != nullptr) (void)kernel_.unmap(region_, units_ * kUnit);
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  [[nodiscard]] Chunk* acquire(std::size_t size) { return arena.acquire_chunk(size_class_for(size), &owner); }
  [[nodiscard]] const ClassShape& shape(const Chunk* chunk) const { return constants.shapes[chunk->size_class()]; }
  [[nodiscard]] char* slots(Chunk* chunk) const { return chunk->start() + shape(chunk).slots_offset; }
  [[nodiscard]] RegistryEntry entry(const void* address) const { return arena.registry.find(address_of(address)); }

  /// The fault of which `body` died; internal if it did not.
  template <class Body>
  [[nodiscard]] Fault fault_of(Body body) {
    return run([](void* pointer) { (*static_cast<Body*>(pointer))(); }, &body);
  }

  Constants constants;
  Arena<S> arena;
  int owner = 0;
  std::map<int, int> calls;
  int count = 0;
  std::function<bool()> fails;

 private:
  // Out of line and without variables of its own that change: longjmp leaves nothing undefined.
  [[gnu::noinline]] Fault run(void (*call)(void*), void* body) {
    fault_ = Fault::internal;
    if (setjmp(env_) == 0) call(body);
    return fault_;
  }

  std::jmp_buf env_;
  Fault fault_{};
  KernelPages kernel_;
  std::vector<std::uint64_t> used_;
  std::vector<std::atomic<std::uint64_t>> entries_;
  std::size_t units_;
  char* region_ = nullptr;
};

template <class S>
class ArenaOf : public testing::Test {
 protected:
  using Fix = Fixture<S>;
};
using Storages = testing::Types<ProcessStorage, InstanceStorage>;
std::uint32_t colour_of(const Chunk* chunk) {
  return static_cast<std::uint32_t>((address_of(chunk) - address_of(chunk->start())) / kLine);
}

TYPED_TEST_SUITE(ArenaOf, Storages);

TYPED_TEST(ArenaOf, a_fresh_chunk_is_sealed_registered_and_empty) {
  auto fix = std::make_unique<Fixture<TypeParam>>();
  std::set<Chunk*> chunks;
  for (const std::size_t size : Sizes{16, 100, 1000, 10'000, 100'000, 262'144}) {
    for (int i = 0; i != 5; ++i) {
      Chunk* const chunk = fix->acquire(size);
      ASSERT_NE(chunk, nullptr);
      EXPECT_TRUE(chunks.insert(chunk).second);
      EXPECT_EQ(chunk->owner, &fix->owner);
      EXPECT_EQ(chunk->size_class(), size_class_for(size));
      EXPECT_EQ(chunk->seal, seal_of(fix->constants.keys.header, fix->entry(chunk->start()), &fix->owner));
      EXPECT_EQ(chunk->opened, 0U);
      EXPECT_EQ(chunk->available(), 0U);
      EXPECT_EQ(chunk->next, chunk);
      EXPECT_EQ(chunk->previous, chunk);
      EXPECT_EQ(chunk->pending.load(), 0U);
      const ClassShape& shape = fix->shape(chunk);
      EXPECT_LT(colour_of(chunk), shape.colour_count);
      EXPECT_EQ(chunk->identity.bits, fix->entry(chunk->start()).bits);
      EXPECT_EQ(address_of(chunk->start()) % kUnit, 0U);
      for (std::size_t line = 0; line != shape.line_count(); ++line) {
        const SlotLine& words = chunk->lines()[line];
        EXPECT_EQ(words.live.load() | words.held | words.marked.load() | words.done.load(), 0U);
        EXPECT_TRUE(guard_holds(fix->constants.keys.bitmap, &words, 0, 0));
      }
      for (std::uint32_t unit = 0; unit != 1U << shape.units_log2; ++unit) {
        const RegistryEntry entry = fix->entry(chunk->start() + unit * kUnit + 77);
        EXPECT_TRUE(entry.is_chunk());
        EXPECT_EQ(entry.start(), address_of(chunk->start()));
        EXPECT_EQ(header_of(entry), chunk);
      }
      fill(fix->slots(chunk), shape.slots_bytes, 0xa5);
    }
  }
  EXPECT_EQ(fix->arena.counts.chunks, chunks.size());
  std::set<Chunk*> visited;
  fix->arena.for_each_chunk([&](Chunk* chunk) { EXPECT_TRUE(visited.insert(chunk).second); });
  EXPECT_EQ(visited, chunks);
}

TYPED_TEST(ArenaOf, guards_stand_behind_the_header_and_at_the_end) {
  for (const bool advice : {true, false}) {
    auto fix = std::make_unique<Fixture<TypeParam>>(options_with(advice));
    const std::size_t page = page_size();
    for (const std::size_t size : Sizes{64, 20'000}) {
      Chunk* const chunk = fix->acquire(size);
      ASSERT_NE(chunk, nullptr);
      char* const start = chunk->start();
      const std::size_t bytes = fix->shape(chunk).chunk_bytes();
      EXPECT_EQ(read_end(start), test::kSurvived);
      EXPECT_EQ(read_end(start + page), -SIGSEGV);
      EXPECT_EQ(write_end(start + 2 * page - 1), -SIGSEGV);
      EXPECT_EQ(write_end(start + 2 * page), test::kSurvived);
      EXPECT_EQ(write_end(start + bytes - page - 1), test::kSurvived);
      EXPECT_EQ(read_end(start + bytes - page), -SIGSEGV);
      EXPECT_EQ(write_end(start + bytes - 1), -SIGSEGV);
      EXPECT_NE(fix->entry(chunk).guard(), GuardKind::none);
      if (!advice) {
        EXPECT_EQ(fix->entry(chunk).guard(), GuardKind::protection);
      }
    }
    EXPECT_EQ(fix->arena.counts.guards_skipped, 0U);
  }
}

TYPED_TEST(ArenaOf, an_advice_that_does_nothing_is_not_believed) {
  // As qemu-user: every advice is taken, none is followed.
  const int end = test::child_end([] {
    if (!test::answer_call(SYS_madvise, 0)) _exit(9);
    auto fix = std::make_unique<Fixture<TypeParam>>(options_with(true));
    Chunk* const chunk = fix->acquire(64);
    if (fix->entry(chunk).guard() != GuardKind::protection) _exit(1);
    *static_cast<volatile char*>(chunk->start() + page_size());
    _exit(2);
  });
  if (end == 9) GTEST_SKIP() << "seccomp is not to be had";
  EXPECT_EQ(end, -SIGSEGV);
}

TYPED_TEST(ArenaOf, a_vacant_chunk_faults_and_gives_its_memory_back) {
  for (const bool advice : {true, false}) {
    auto fix = std::make_unique<Fixture<TypeParam>>(options_with(advice));
    for (const std::size_t size : Sizes{64, 20'000}) {
      Chunk* const chunk = fix->acquire(size);
      ASSERT_NE(chunk, nullptr);
      char* const start = chunk->start();
      char* const slots = fix->slots(chunk);
      const ClassShape shape = fix->shape(chunk);
      fill(slots, shape.slots_bytes, 0xa5);
      const RegistryEntry before = fix->entry(start);
      fix->arena.release_chunk(chunk);
      EXPECT_EQ(fix->entry(start).kind(), UnitKind::vacant);
      EXPECT_EQ(fix->entry(start).size_class(), before.size_class());
      EXPECT_EQ(fix->entry(start).guard(), before.guard());
      EXPECT_EQ(read_end(slots), -SIGSEGV);
      EXPECT_EQ(write_end(slots + shape.slots_bytes / 2), -SIGSEGV);
      EXPECT_EQ(read_end(slots + shape.slots_bytes - 1), -SIGSEGV);
      // Its class gets it again, empty.
      Chunk* const again = fix->acquire(size);
      ASSERT_NE(again, nullptr);
      EXPECT_EQ(again->start(), start);
      for (std::size_t at = 0; at != shape.slots_bytes; ++at) ASSERT_EQ(slots[at], 0);
      EXPECT_EQ(read_end(start + page_size()), -SIGSEGV) << "with the guards it had";
      EXPECT_EQ(read_end(start + shape.chunk_bytes() - 1), -SIGSEGV);
    }
  }
}

TYPED_TEST(ArenaOf, vacant_chunks_come_back_to_their_class_and_to_no_other) {
  auto fix = std::make_unique<Fixture<TypeParam>>();
  std::map<std::size_t, std::set<char*>> places;
  for (int round = 0; round != 5; ++round) {
    std::vector<Chunk*> chunks;
    for (const std::size_t size : Sizes{64, 80, 1000}) {  // all of one unit
      for (int i = 0; i != 10; ++i) {
        Chunk* const chunk = fix->acquire(size);
        ASSERT_NE(chunk, nullptr);
        if (round == 0) {
          places[size].insert(chunk->start());
        } else {
          EXPECT_EQ(places[size].count(chunk->start()), 1U) << "of another class, or a new place";
        }
        chunks.push_back(chunk);
      }
    }
    for (Chunk* const chunk : chunks) fix->arena.release_chunk(chunk);
    EXPECT_EQ(fix->arena.counts.vacant_chunks, 30U);
    EXPECT_EQ(fix->arena.counts.chunks, 0U);
  }
}

TYPED_TEST(ArenaOf, without_fault_vacant_memory_goes_and_may_be_read) {
  Options options = options_of(Profile::standard);
  options.fault_vacant = 0;
  auto fix = std::make_unique<Fixture<TypeParam>>(options);
  Chunk* const chunk = fix->acquire(64);
  ASSERT_NE(chunk, nullptr);
  char* const slots = fix->slots(chunk);
  fill(slots, 4096, 7);
  fix->arena.release_chunk(chunk);
  EXPECT_EQ(slots[0], 0);
  EXPECT_EQ(slots[4095], 0);
}

TEST(InstanceArena, vacant_memory_that_the_kernel_does_not_take_is_zero_when_it_serves_again) {
  for (const bool advice : {true, false}) {
    Fixture<InstanceStorage> fix(options_with(advice));
    Chunk* const chunk = fix.acquire(64);
    ASSERT_NE(chunk, nullptr);
    char* const slots = fix.slots(chunk);
    fill(slots, 4096, 7);
    fix.fails = [] { return true; };
    fix.arena.release_chunk(chunk);
    fix.fails = nullptr;
    Chunk* const again = fix.acquire(64);
    ASSERT_EQ(again->start(), chunk->start());
    EXPECT_TRUE(std::all_of(fix.slots(again), fix.slots(again) + 4096, [](char byte) { return byte == 0; }));
  }
}

TYPED_TEST(ArenaOf, without_guard_pages_none_is_laid_or_counted) {
  Options options = options_of(Profile::standard);
  options.guard_pages = 0;
  auto fix = std::make_unique<Fixture<TypeParam>>(options);
  Chunk* const chunk = fix->acquire(64);
  ASSERT_NE(chunk, nullptr);
  EXPECT_EQ(fix->entry(chunk).guard(), GuardKind::none);
  EXPECT_EQ(read_end(chunk->start() + page_size()), test::kSurvived);
  fix->arena.release_chunk(chunk);
  EXPECT_NE(fix->acquire(64), nullptr);
  EXPECT_EQ(fix->arena.counts.guards_installed, 0U);
  EXPECT_EQ(fix->arena.counts.guards_skipped, 0U);
}

TYPED_TEST(ArenaOf, the_guard_budget_is_kept_and_spread) {
  Options options = options_with(false);
  options.guard_budget = 200;
  auto fix = std::make_unique<Fixture<TypeParam>>(options);
  std::vector<bool> guarded;
  for (int i = 0; i != 400; ++i) {
    Chunk* const chunk = fix->acquire(64);
    ASSERT_NE(chunk, nullptr);
    guarded.push_back(fix->entry(chunk).guard() == GuardKind::protection);
  }
  const auto count = [&](std::size_t from, std::size_t to) {
    return std::count(guarded.begin() + static_cast<long>(from), guarded.begin() + static_cast<long>(to), true);
  };
  // A pair costs four mappings; metadata has guards too.
  EXPECT_LE(4 * count(0, 400), 200);
  EXPECT_GE(4 * count(0, 400), 150);
  EXPECT_EQ(count(0, 20), 20) << "all, while half of the budget is left";
  EXPECT_GT(count(40, 80), 0) << "ever fewer, but some";
  EXPECT_LT(count(40, 80), 40);
  EXPECT_GT(count(20, 60), count(60, 100));
  EXPECT_EQ(fix->arena.counts.guards_installed % 2, 0U);
  EXPECT_GE(fix->arena.counts.guards_skipped, 2U * 340U);
  // An unguarded chunk works like any other, and empties as it can.
  fix->arena.for_each_chunk([&](Chunk* chunk) {
    if (fix->entry(chunk).guard() == GuardKind::none) fill(fix->slots(chunk), fix->shape(chunk).slots_bytes, 1);
  });
}

TYPED_TEST(ArenaOf, colours_differ_and_stay_within_the_header_page) {
  auto fix = std::make_unique<Fixture<TypeParam>>();
  std::set<std::uint32_t> colours;
  for (int i = 0; i != 200; ++i) {
    Chunk* const chunk = fix->acquire(1000);
    ASSERT_NE(chunk, nullptr);
    colours.insert(colour_of(chunk));
    EXPECT_LE(address_of(chunk->lines() + fix->shape(chunk).line_count()), address_of(chunk->start()) + page_size());
  }
  EXPECT_GE(colours.size(), fix->constants.shapes[size_class_for(1000)].colour_count / 2U);
}

TYPED_TEST(ArenaOf, metadata_is_zeroed_aligned_and_apart) {
  auto fix = std::make_unique<Fixture<TypeParam>>();
  std::vector<std::pair<char*, std::size_t>> all;
  for (int round = 0; round != 30; ++round) {
    for (const std::size_t bytes : {std::size_t{64}, std::size_t{100}, std::size_t{4000}, page_size(),
                                    3 * page_size() + 5, std::size_t{200'000}}) {
      auto* const start = static_cast<char*>(fix->arena.metadata(bytes));
      ASSERT_NE(start, nullptr);
      EXPECT_EQ(address_of(start) % (bytes >= page_size() ? page_size() : kLine), 0U);
      for (std::size_t at = 0; at != bytes; ++at) ASSERT_EQ(start[at], 0);
      fill(start, bytes, 0xee);
      for (const auto& [other, size] : all) ASSERT_TRUE(start + bytes <= other || other + size <= start);
      all.emplace_back(start, bytes);
    }
  }
}

TYPED_TEST(ArenaOf, a_pool_that_names_what_is_not_vacant_is_corrupt) {
  auto fix = std::make_unique<Fixture<TypeParam>>();
  Chunk* const chunk = fix->acquire(64);
  ASSERT_NE(chunk, nullptr);
  char* const start = chunk->start();
  fix->arena.release_chunk(chunk);
  const RegistryEntry entry = fix->entry(start);
  for (const RegistryEntry wrong :
       {RegistryEntry{}, RegistryEntry::of_chunk(UnitKind::chunk, entry.size_class(), start, entry.guard()),
        RegistryEntry::of_chunk(UnitKind::vacant, entry.size_class() + 1, start, entry.guard())}) {
    fix->arena.registry.set(address_of(start), wrong);
    EXPECT_EQ(fix->fault_of([&] { (void)fix->acquire(64); }), Fault::corrupt_list);
  }
}

// --- where things lie
// --------------------------------------------------------------------------------------------------

TEST(ProcessArena, places_are_random_and_near_one_another) {
  if (!kAnyPlace) return;
  std::set<std::uintptr_t> windows;
  for (std::uint64_t seed = 0; seed != 50; ++seed) {
    auto fix = std::make_unique<Fixture<ProcessStorage>>(options_of(Profile::standard), 0, seed);
    std::set<std::uintptr_t> leaves;
    for (int i = 0; i != 100; ++i) {
      const std::uintptr_t place = fix->arena.random_place(1 << 20);
      EXPECT_EQ(place % kUnit, 0U);
      EXPECT_LT(place, std::uintptr_t{1} << SparseRegistry::kAddressBits);
      EXPECT_EQ(place >> SparseRegistry::kLeafBits, (place + (1 << 20) - 1) >> SparseRegistry::kLeafBits)
          << "crosses a leaf";
      leaves.insert(place >> SparseRegistry::kLeafBits);
    }
    EXPECT_LE(leaves.size(), 2U) << "a leaf of the registry each";
    windows.insert(*leaves.begin());
  }
  // Of as many as there are, fifty are drawn.
  EXPECT_GE(windows.size(), std::min<std::size_t>(45, windows_below(last_address()).count / 2));
}

TEST(ProcessArena, asks_for_no_place_where_it_must_not) {
  auto fix = std::make_unique<Fixture<ProcessStorage>>();
  EXPECT_EQ(fix->arena.random_place(std::size_t{1} << 40), 0U) << "larger than a window";
  Options options = options_of(Profile::standard);
  options.chunk_randomize = 0;
  auto plain = std::make_unique<Fixture<ProcessStorage>>(options);
  EXPECT_EQ(plain->arena.random_place(1 << 20), 0U);
  auto instance = std::make_unique<Fixture<InstanceStorage>>();
  EXPECT_EQ(instance->arena.random_place(1 << 20), 0U);
}

TEST(InstanceArena, chunks_of_a_span_come_in_random_order) {
  std::set<std::vector<std::ptrdiff_t>> orders;
  for (std::uint64_t seed = 0; seed != 20; ++seed) {
    Fixture<InstanceStorage> fix(options_of(Profile::standard), 2048, seed);
    std::vector<std::ptrdiff_t> order;
    for (int i = 0; i != 8; ++i) order.push_back(fix.acquire(64)->start() - fix.arena.pages.region());
    orders.insert(order);
  }
  if (kAnyPlace) {
    EXPECT_GE(orders.size(), 18U);
  }
}

TEST(Windows, lie_in_the_middle_of_the_address_space) {
  constexpr std::uintptr_t kTerabyte = std::uintptr_t{1} << 40;
  // Those of aarch64 (39, 42 and 48 bits) and of x86-64, and some that are too small for it.
  for (const unsigned bits : {39U, 42U, 47U, 48U}) {
    const std::uintptr_t end = std::uintptr_t{1} << bits;
    const Windows windows = windows_below(end - 12345);
    EXPECT_EQ(windows.first * kWindowBytes, end / 32) << bits;
    EXPECT_EQ((windows.first + windows.count) * kWindowBytes, end / 16 * 11) << bits;
  }
  EXPECT_EQ(windows_below(0x7ffc'0000'0000).first * kWindowBytes, 4 * kTerabyte);
  EXPECT_EQ(windows_below(0x3f'ffff'ffff).first, 1U) << "not the lowest: programs lie there";
  EXPECT_EQ(windows_below(0x3f'ffff'ffff).count, 10U);
  for (const std::uintptr_t last : {std::uintptr_t{0}, std::uintptr_t{0xffff'dfff}, std::uintptr_t{0x3b'ffff'ffff}}) {
    EXPECT_EQ(windows_below(last).count, 0U) << last;
  }
  EXPECT_GT(last_address(), reinterpret_cast<std::uintptr_t>(&windows_below)) << "in a program like this one";
}

TEST(InstanceArena, many_chunks_take_few_mappings) {
  Fixture<InstanceStorage> fix(options_of(Profile::standard), 4096);
  for (int i = 0; i != 1000; ++i) ASSERT_NE(fix.acquire(64), nullptr);
  EXPECT_LE(fix.calls[0], 52) << "spans grow geometrically, and pools and metadata need little";
}

TEST(InstanceArena, spans_halve_until_the_last_unit_is_used) {
  constexpr std::size_t kUnits = 300;
  Fixture<InstanceStorage> fix(options_of(Profile::standard), kUnits);
  std::size_t chunks = 0;
  while (fix.acquire(64) != nullptr) ++chunks;
  EXPECT_GE(chunks, kUnits - 8) << "what metadata takes";
  EXPECT_EQ(fix.arena.counts.chunks, chunks);
}

TEST(InstanceArena, a_place_changes_its_class_only_when_there_is_no_other) {
  Fixture<InstanceStorage> fix(options_of(Profile::standard), 200);
  Chunk* const other = fix.acquire(80);
  ASSERT_NE(other, nullptr);
  char* const place = other->start();
  fill(fix.slots(other), 4096, 7);
  fix.arena.release_chunk(other);
  Chunk* last = nullptr;
  while (Chunk* const chunk = fix.acquire(64)) {
    if (last != nullptr) {
      EXPECT_NE(last->start(), place) << "taken before the fresh ones";
    }
    last = chunk;
  }
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last->start(), place);
  EXPECT_EQ(last->size_class(), size_class_for(64));
  for (std::size_t at = 0; at != fix.shape(last).slots_bytes; ++at) ASSERT_EQ(fix.slots(last)[at], 0);
  EXPECT_EQ(read_end(place + page_size()), -SIGSEGV);
  // It is of that class from now on.
  fix.arena.release_chunk(last);
  EXPECT_EQ(fix.entry(place).size_class(), size_class_for(64));
  // Chunks of another length never serve.
  EXPECT_EQ(fix.acquire(262'144), nullptr);
}

TEST(InstanceArena, each_call_may_fail_and_nothing_is_lost) {
  for (const bool advice : {true, false}) {
    for (int failing = 0;; ++failing) {
      Fixture<InstanceStorage> fix(options_with(advice), 1024);
      bool failed = false;
      fix.fails = [&] {
        const bool now = fix.count - 1 == failing;
        failed |= now;
        return now;
      };
      std::set<Chunk*> owned;
      const auto acquire = [&](std::size_t size) {
        Chunk* const chunk = fix.acquire(size);
        if (chunk != nullptr) {
          ASSERT_TRUE(owned.insert(chunk).second);
          fill(fix.slots(chunk), fix.shape(chunk).slots_bytes, 1);
        }
      };
      for (int round = 0; round != 3; ++round) {
        for (const std::size_t size : Sizes{64, 64, 20'000, 1000}) acquire(size);
        while (owned.size() > 2) {
          fix.arena.release_chunk(*owned.begin());
          owned.erase(owned.begin());
        }
        ASSERT_EQ(fix.arena.counts.chunks, owned.size()) << "call " << failing;
        std::set<Chunk*> visited;
        fix.arena.for_each_chunk([&](Chunk* chunk) { visited.insert(chunk); });
        ASSERT_EQ(visited, owned);
      }
      fix.fails = nullptr;
      for (const std::size_t size : Sizes{64, 20'000, 1000})
        ASSERT_NE(fix.acquire(size), nullptr) << "call " << failing;
      if (!failed) {
        EXPECT_GT(failing, 20);
        break;
      }
    }
  }
}

TEST(InstanceArena, a_span_that_cannot_be_recorded_goes_back) {
  Fixture<InstanceStorage> fix;
  constexpr int kMap = 0;  // of SysCall
  constexpr int kUnmap = 1;
  const std::size_t size = kLargestSlot;  // whose first spans have one chunk each
  ASSERT_NE(fix.acquire(size), nullptr);
  // The next record needs a block of metadata: of two that are full, the second has as many pieces as the first.
  const auto pieces_of_a_block = [&] {
    const int before = fix.calls[kMap];
    int pieces = 0;
    while (fix.calls[kMap] == before) {
      EXPECT_NE(fix.arena.metadata(kLine), nullptr);
      ++pieces;
    }
    return pieces;
  };
  (void)pieces_of_a_block();
  for (int pieces = pieces_of_a_block(); pieces > 1; --pieces) EXPECT_NE(fix.arena.metadata(kLine), nullptr);
  const int maps = fix.calls[kMap];
  const int unmaps = fix.calls[kUnmap];
  fix.fails = [&] { return fix.calls[kMap] == maps + 2; };
  EXPECT_EQ(fix.acquire(size), nullptr);
  EXPECT_EQ(fix.calls[kMap], maps + 2);
  EXPECT_EQ(fix.calls[kUnmap], unmaps + 1);
  fix.fails = nullptr;
  EXPECT_NE(fix.acquire(size), nullptr);
}

TEST(ArenaLocked, blocks_nothing_and_releases_at_its_end) {
  auto fix = std::make_unique<Fixture<InstanceStorage>>();
  {
    const ArenaLocked<InstanceStorage> locked(fix->arena, fix->constants);
    EXPECT_FALSE(fix->arena.lock.acquire());
  }
  EXPECT_TRUE(fix->arena.lock.acquire());
  fix->arena.lock.release();
}

TEST(ArenaLocked, dies_by_name_when_it_is_entered_from_inside) {
  auto fix = std::make_unique<Fixture<InstanceStorage>>();
  ASSERT_TRUE(fix->arena.lock.acquire());
  EXPECT_EQ(fix->fault_of([&] { const ArenaLocked<InstanceStorage> locked(fix->arena, fix->constants); }),
            Fault::reentered);
  fix->arena.lock.release();
}

}  // namespace
}  // namespace stave
