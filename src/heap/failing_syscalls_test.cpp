// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every call to the kernel of a scripted workload fails, one after another; and from each one on all of them. Whatever
// fails: an allocation says no or carries on unguarded, what is live keeps its contents, every invariant holds after
// each step, and when the kernel gives again the heap works again.
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/test_child.hpp"
#include "heap/test_instance.hpp"
#include "policy/options.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

using test::TestHeap;

/// Which calls fail.
enum class Failing { one, all_from };

/// The workload, and what it knows of its blocks.
class Workload {
 public:
  Workload(Profile profile, bool advice)
      : heap_({.units = 2048, .options = options(profile, advice), .samples = profile == Profile::fuzz}) {}

  /// Runs it with the call `first` failing (and those after it). \return the number of calls that it made.
  std::uint64_t run(std::uint64_t first, Failing failing) {
    std::uint64_t calls = 0;
    heap_.fails = [&, first, failing](SysCall) {
      const std::uint64_t call = calls++;
      const bool now = failing == Failing::one ? call == first : call >= first;
      injected += now ? 1U : 0U;
      return now;
    };
    script();
    heap_.fails = nullptr;
    return calls;
  }

  /// With one kind of call failing always.
  void run_without(SysCall kind) {
    heap_.fails = [&, kind](SysCall call) {
      injected += call == kind ? 1U : 0U;
      return call == kind;
    };
    script();
    heap_.fails = nullptr;
  }

  /// Everything can be had again, and everything goes.
  void recover() {
    where_ = "recovery";
    for (const std::size_t size : Sizes{16, 1000, 20'000, 200'000, 400'000}) {
      for (const unsigned thread : {0U, 1U, 2U}) {
        const std::size_t before = blocks_.size();
        add(heap_.allocate(thread, size), size);
        ASSERT_EQ(blocks_.size(), before + 1) << "memory is there again; " << size << where();
      }
    }
    check();
    while (!blocks_.empty()) free_last(0);
    for (const unsigned thread : {0U, 1U, 2U, 3U}) heap_.exit_thread(thread);
    (void)heap_.trim(4);
    check();
    const Stats stats = heap_.stats();
    ASSERT_EQ(stats.live_allocations, 0U) << where();
    ASSERT_EQ(stats.live_bytes, 0U) << where();
    ASSERT_EQ(stats.chunks, 0U) << where();
  }

  std::uint64_t injected = 0;
  std::string name;

 private:
  struct Block {
    unsigned char* start;
    std::size_t size;
    unsigned char salt;
  };

  static Options options(Profile profile, bool advice) {
    Options options = test::options_with(profile, advice);
    options.quarantine_large_kb = 8 << 10;  // so that blocks leave it
    options.sample_interval = 8;            // each takes calls, and each call is a run
    return options;
  }

  [[nodiscard]] std::string where() const { return " (" + name + ", in " + where_ + ")"; }

  static void fill(const Block& block) {
    for (std::size_t i = 0; i < block.size; i += step(block.size))
      block.start[i] = static_cast<unsigned char>(block.salt + i);
    block.start[block.size - 1] = block.salt;
  }
  // Every byte of small blocks; of others some, since each page that is touched costs a fault at each of many runs.
  static std::size_t step(std::size_t size) { return size < 4096 ? 1 : std::max<std::size_t>(509, size / 13); }
  static bool is_filled(const Block& block, std::size_t bytes) {
    for (std::size_t i = 0; i < std::min(bytes, block.size - 1); i += step(block.size)) {
      if (block.start[i] != static_cast<unsigned char>(block.salt + i)) return false;
    }
    return bytes < block.size || block.start[block.size - 1] == block.salt;
  }

  void add(void* pointer, std::size_t size) {
    if (pointer == nullptr) return;
    blocks_.push_back({static_cast<unsigned char*>(pointer), size, static_cast<unsigned char>(++salt_)});
    fill(blocks_.back());
  }
  void free_last(unsigned thread) {
    const Block block = blocks_.back();
    blocks_.pop_back();
    ASSERT_TRUE(is_filled(block, block.size)) << "a live block changed" << where();
    heap_.deallocate(thread, block.start);
  }
  void free_some(unsigned thread, std::size_t one_in) {
    std::vector<Block> kept;
    for (std::size_t i = 0; i != blocks_.size(); ++i) {
      if (i % one_in == 0) {
        ASSERT_TRUE(is_filled(blocks_[i], blocks_[i].size)) << where();
        heap_.deallocate(thread, blocks_[i].start);
      } else {
        kept.push_back(blocks_[i]);
      }
    }
    blocks_ = kept;
  }
  void resize_some(unsigned thread, std::size_t one_in, double factor) {
    for (std::size_t i = 0; i < blocks_.size(); i += one_in) {
      Block& block = blocks_[i];
      const auto size = static_cast<std::size_t>(static_cast<double>(block.size) * factor) + 1;
      void* const moved = heap_.reallocate(thread, block.start, size);
      if (moved == nullptr) {
        ASSERT_TRUE(is_filled(block, block.size)) << "a realloc that failed changed its block" << where();
        continue;
      }
      Block now{static_cast<unsigned char*>(moved), block.size, block.salt};
      // The last byte of the old size has its own pattern: it counts when the block grew.
      ASSERT_TRUE(is_filled(now, std::min(size, block.size) - (size < block.size ? 1 : 0)))
          << "contents got lost" << where();
      now.size = size;
      fill(now);
      block = now;
    }
  }
  void check() {
    ASSERT_STREQ(heap_.verify(), "") << where();
    const std::uint64_t live = heap_.stats().live_allocations;
    ASSERT_EQ(live, blocks_.size()) << where();
    for (const Block& block : blocks_) ASSERT_TRUE(is_filled(block, block.size)) << "a live block changed" << where();
  }

  template <class Act>
  void step_of(const char* what, Act act) {
    if (testing::Test::HasFatalFailure()) return;
    where_ = what;
    act();
    check();
  }

  void script() {
    step_of("small", [&] {
      for (int i = 0; i != 150; ++i) add(heap_.allocate(0, 16 + static_cast<std::size_t>(i % 7) * 150), 16);
    });
    step_of("medium", [&] {
      for (int i = 0; i != 40; ++i) add(heap_.allocate(0, 20'000), 20'000);
    });
    step_of("large", [&] {
      for (int i = 0; i != 4; ++i) add(heap_.allocate(0, 500'000), 500'000);
    });
    step_of("aligned", [&] {
      for (const std::size_t alignment : Sizes{64, 4096, 65'536, 1 << 20}) {
        void* const pointer = heap_.allocate_aligned(0, alignment, 3000);
        ASSERT_EQ(address_of(pointer) % alignment, 0U);
        add(pointer, 3000);
      }
    });
    step_of("calloc", [&] {
      for (const std::size_t size : Sizes{100, 30'000, 300'000}) {
        auto* const block = static_cast<unsigned char*>(heap_.allocate_zeroed(0, 1, size));
        ASSERT_TRUE(block == nullptr || std::all_of(block, block + size, [](unsigned char byte) { return byte == 0; }))
            << where();
        add(block, size);
      }
    });
    step_of("realloc up", [&] { resize_some(0, 9, 2.5); });
    step_of("realloc down", [&] { resize_some(0, 7, 0.3); });
    step_of("a second thread", [&] {
      for (int i = 0; i != 50; ++i) add(heap_.allocate(1, 700), 700);
    });
    step_of("remote frees", [&] { free_some(1, 3); });
    step_of("remote realloc", [&] { resize_some(1, 11, 3.0); });
    step_of("a third thread", [&] {
      for (int i = 0; i != 30; ++i) add(heap_.allocate(2, 5000), 5000);
    });
    step_of("a thread that ends", [&] { heap_.exit_thread(1); });
    step_of("frees into its heap", [&] { free_some(0, 4); });
    step_of("a thread that takes over", [&] {
      for (int i = 0; i != 40; ++i) add(heap_.allocate(3, 700), 700);
    });
    step_of("trim", [&] { (void)heap_.trim(0); });
    step_of("fork", [&] { heap_.fork_child(0); });
    step_of("frees into lost heaps", [&] { free_some(0, 2); });
    step_of("a thread in the child", [&] {
      for (int i = 0; i != 50; ++i) add(heap_.allocate(1, 1000), 1000);
    });
    step_of("large again", [&] {
      for (int i = 0; i != 14; ++i) {
        void* const pointer = heap_.allocate(0, 600'000);
        if (pointer != nullptr) heap_.deallocate(1, pointer);
      }
    });
    step_of("frees", [&] { free_some(0, 2); });
    step_of("trim at the end", [&] { (void)heap_.trim(0); });
  }

  TestHeap heap_;
  std::vector<Block> blocks_;
  unsigned salt_ = 0;
  std::string where_;
};

class FailingSyscalls : public testing::TestWithParam<std::tuple<Profile, bool>> {
 protected:
  [[nodiscard]] static Workload workload() { return {std::get<0>(GetParam()), std::get<1>(GetParam())}; }

  // Under a sanitizer, where all is many times slower, each of the eight modes takes every fourth call, two of them
  // each.
  [[nodiscard]] static std::uint64_t first() {
    return kSlow ? static_cast<std::uint64_t>(std::get<0>(GetParam())) % kStride : 0;
  }
#if defined(STAVE_SANITIZERS)
  static constexpr bool kSlow = true;
#else
  static constexpr bool kSlow = test::kThreadSanitizer;
#endif
  static constexpr std::uint64_t kStride = kSlow ? 4 : 1;
};
INSTANTIATE_TEST_SUITE_P(Profiles, FailingSyscalls,
                         testing::Combine(testing::ValuesIn(test::kAllProfiles), testing::Bool()),
                         [](const auto& mode) {
                           return std::string(profile_name(std::get<0>(mode.param))) +
                                  (std::get<1>(mode.param) ? "_by_advice" : "_by_protection");
                         });

TEST_P(FailingSyscalls, one_after_another) {
  std::uint64_t calls = 0;
  for (std::uint64_t failing = first();; failing += kStride) {
    Workload workload = FailingSyscalls::workload();
    workload.name = "call " + std::to_string(failing) + " failed";
    calls = workload.run(failing, Failing::one);
    if (HasFatalFailure()) return;
    workload.recover();
    if (HasFatalFailure()) return;
    if (failing >= calls) break;  // the workload made fewer
    ASSERT_EQ(workload.injected, 1U);
  }
  EXPECT_GT(calls, 40U) << "the workload hardly asks the kernel";
}

TEST_P(FailingSyscalls, all_from_one_on) {
  for (std::uint64_t failing = first();; failing += 2 + kStride) {
    Workload workload = FailingSyscalls::workload();
    workload.name = "all calls from " + std::to_string(failing) + " on failed";
    const std::uint64_t made = workload.run(failing, Failing::all_from);
    if (HasFatalFailure()) return;
    workload.recover();
    if (HasFatalFailure()) return;
    if (made <= failing) break;
  }
}

TEST_P(FailingSyscalls, one_kind_always) {
  for (const SysCall kind : {SysCall::map, SysCall::unmap, SysCall::protect, SysCall::discard, SysCall::guard_install,
                             SysCall::guard_remove, SysCall::remap}) {
    Workload workload = FailingSyscalls::workload();
    workload.name = "calls of kind " + std::to_string(static_cast<int>(kind)) + " failed";
    workload.run_without(kind);
    if (HasFatalFailure()) return;
    workload.recover();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace stave
