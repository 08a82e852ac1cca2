// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "api/stave.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/test_child.hpp"

namespace {

struct Heap {
  explicit Heap(const stave_heap_options* options = nullptr) : heap(stave_heap_create(options)) {}
  ~Heap() { stave_heap_destroy(heap); }
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;
  stave_heap* heap;
};

TEST(StaveHeap, serves_the_family) {
  const Heap h;
  ASSERT_NE(h.heap, nullptr);
  auto* block = static_cast<char*>(stave_heap_malloc(h.heap, 100));
  ASSERT_NE(block, nullptr);
  std::memset(block, 7, 100);
  EXPECT_GE(stave_heap_usable_size(h.heap, block), 100U);
  block = static_cast<char*>(stave_heap_realloc(h.heap, block, 100'000));
  ASSERT_NE(block, nullptr);
  for (int i = 0; i != 100; ++i) EXPECT_EQ(block[i], 7);
  auto* const zeroed = static_cast<char*>(stave_heap_calloc(h.heap, 30, 30));
  ASSERT_NE(zeroed, nullptr);
  for (int i = 0; i != 900; ++i) EXPECT_EQ(zeroed[i], 0);
  void* const aligned = stave_heap_aligned_alloc(h.heap, 1 << 16, 5);
  ASSERT_NE(aligned, nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned) % (1 << 16), 0U);
  EXPECT_EQ(stave_heap_verify(h.heap), nullptr);
  stave_heap_free(h.heap, block);
  stave_heap_free(h.heap, zeroed);
  stave_heap_free(h.heap, aligned);
  stave_heap_free(h.heap, nullptr);
  EXPECT_EQ(stave_heap_usable_size(h.heap, nullptr), 0U);
  EXPECT_EQ(stave_heap_verify(h.heap), nullptr);
}

TEST(StaveHeap, realloc_makes_and_frees_as_the_c_library_s) {
  const Heap h;
  ASSERT_NE(h.heap, nullptr);
  const auto live = [&] {
    stave_statistics statistics;
    stave_heap_get_statistics(h.heap, &statistics);
    return statistics.live_allocations;
  };
  void* const block = stave_heap_realloc(h.heap, nullptr, 100);
  EXPECT_NE(block, nullptr);
  EXPECT_EQ(live(), 1U);
  EXPECT_EQ(stave_heap_realloc(h.heap, block, 0), nullptr);
  EXPECT_EQ(live(), 0U);
}

TEST(StaveHeap, says_no_as_the_c_library_does) {
  const stave_heap_options small{.region_bytes = 8 << 20, .seed = 1, .profile = nullptr};
  const Heap h(&small);
  ASSERT_NE(h.heap, nullptr);
  errno = 0;
  EXPECT_EQ(stave_heap_malloc(h.heap, 100 << 20), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(stave_heap_calloc(h.heap, SIZE_MAX, 3), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(stave_heap_aligned_alloc(h.heap, 24, 3), nullptr);
  EXPECT_EQ(errno, EINVAL);
}

TEST(StaveHeap, options_are_checked) {
  for (const char* const profile : {"light", "default", "strict", "fuzz"}) {
    const stave_heap_options options{.region_bytes = 1 << 20, .seed = 1, .profile = profile};
    const Heap h(&options);
    EXPECT_NE(h.heap, nullptr) << profile;
  }
  for (const char* const profile : {"", "standard", "Strict", "strict "}) {
    const stave_heap_options options{.region_bytes = 0, .seed = 1, .profile = profile};
    errno = 0;
    EXPECT_EQ(stave_heap_create(&options), nullptr) << profile;
    EXPECT_EQ(errno, EINVAL);
  }
  const stave_heap_options huge{.region_bytes = std::size_t{1} << 55, .seed = 1, .profile = nullptr};
  errno = 0;
  EXPECT_EQ(stave_heap_create(&huge), nullptr);
  EXPECT_EQ(errno, ENOMEM);
}

std::vector<std::ptrdiff_t> layout(std::uint64_t seed) {
  const stave_heap_options options{.region_bytes = 64 << 20, .seed = seed, .profile = nullptr};
  const Heap h(&options);
  std::vector<std::ptrdiff_t> distances;
  const char* const first = static_cast<char*>(stave_heap_malloc(h.heap, 64));
  for (std::size_t i = 0; i != 100; ++i) {
    distances.push_back(static_cast<char*>(stave_heap_malloc(h.heap, 16 + i * 37)) - first);
  }
  return distances;
}

TEST(StaveHeap, a_seed_gives_one_layout_and_none_gives_a_new_one_each_time) {
  EXPECT_EQ(layout(7), layout(7));
  EXPECT_NE(layout(7), layout(8));
  EXPECT_NE(layout(0), layout(0));
}

TEST(StaveHeap, statistics_count) {
  const Heap h;
  stave_statistics statistics;
  stave_heap_get_statistics(h.heap, &statistics);
  EXPECT_EQ(statistics.live_allocations, 0U);
  EXPECT_EQ(statistics.calls_served, 0U);
  void* const small = stave_heap_malloc(h.heap, 100);
  void* const large = stave_heap_malloc(h.heap, 1'000'000);
  stave_heap_get_statistics(h.heap, &statistics);
  EXPECT_EQ(statistics.live_allocations, 2U);
  EXPECT_EQ(statistics.live_bytes, stave_heap_usable_size(h.heap, small) + stave_heap_usable_size(h.heap, large));
  EXPECT_EQ(statistics.large_blocks, 1U);
  EXPECT_EQ(statistics.chunks, 1U);
  EXPECT_EQ(statistics.heaps, 1U);
  EXPECT_EQ(statistics.calls_served, 2U);
  EXPECT_GE(statistics.mapped_bytes, 1'000'000U);
  stave_heap_free(h.heap, small);
  stave_heap_free(h.heap, large);
  stave_heap_get_statistics(h.heap, &statistics);
  EXPECT_EQ(statistics.live_allocations, 0U);
  EXPECT_EQ(statistics.held_slots, 1U);
}

TEST(StaveHeap, heaps_are_strangers_to_one_another) {
  EXPECT_EQ(stave::test::child_end([] {
              close(2);
              stave_heap* const a = stave_heap_create(nullptr);
              stave_heap* const b = stave_heap_create(nullptr);
              stave_heap_free(b, stave_heap_malloc(a, 64));
            }),
            -SIGABRT);
}

TEST(StaveHeap, a_fault_leaves_its_text_and_ends_the_process) {
  EXPECT_STREQ(stave_last_report, "");
  EXPECT_EQ(stave::test::child_end([] {
              close(2);
              std::signal(SIGABRT, [](int) {
                _exit(std::strstr(stave_last_report, "stave: double-free: 0x") == stave_last_report ? 42 : 1);
              });
              stave_heap* const heap = stave_heap_create(nullptr);
              void* const block = stave_heap_malloc(heap, 64);
              stave_heap_free(heap, block);
              stave_heap_free(heap, block);
            }),
            42);
}

/// Whether anything is mapped at the page of an address.
bool is_mapped(const void* address) {
  const auto page = reinterpret_cast<std::uintptr_t>(address) & ~static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE) - 1);
  return msync(reinterpret_cast<void*>(page), 1, MS_ASYNC) == 0;
}

TEST(StaveHeap, destroy_gives_everything_back) {
  stave_heap* const heap = stave_heap_create(nullptr);
  ASSERT_NE(heap, nullptr);
  std::vector<void*> blocks{heap};
  for (const std::size_t size : {std::size_t{64}, std::size_t{20'000}, std::size_t{1'000'000}}) {
    blocks.push_back(stave_heap_malloc(heap, size));
    ASSERT_NE(blocks.back(), nullptr);
  }
  for (void* const block : blocks) EXPECT_TRUE(is_mapped(block));
  stave_heap_destroy(heap);
  for (void* const block : blocks) EXPECT_FALSE(is_mapped(block));
  stave_heap_destroy(nullptr);
}

// This program's malloc is not ours: the process's allocator never starts.

TEST(Process, before_its_start_knows_nothing_and_is_whole) {
  int object = 0;
  stave_bounds bounds{&object, 7};
  EXPECT_EQ(stave_bounds_of(&object, &bounds), 0);
  EXPECT_EQ(stave_bounds_of(nullptr, &bounds), 0);
  EXPECT_EQ(bounds.start, &object);
  EXPECT_EQ(bounds.size, 7U);
  EXPECT_EQ(stave_verify(), nullptr);
  stave_statistics statistics;
  std::memset(&statistics, 0xff, sizeof statistics);
  stave_get_statistics(&statistics);
  EXPECT_EQ(statistics.calls_served, 0U);
  EXPECT_EQ(statistics.chunks, 0U);
}

// --- the header, for each language it is for
// ---------------------------------------------------------------------------

constexpr const char* kUser = R"(#include "api/stave.h"
#include "api/stave.h"

static struct stave_heap_options options;

int use(void);
int use(void) {
  struct stave_bounds bounds;
  struct stave_statistics statistics;
  stave_heap *heap;
  void *block;
  options.profile = "strict";
  heap = stave_heap_create(&options);
  block = stave_heap_malloc(heap, 1);
  block = stave_heap_realloc(heap, block, 2);
  stave_heap_free(heap, block);
  stave_heap_free(heap, stave_heap_calloc(heap, 1, 1));
  stave_heap_free(heap, stave_heap_aligned_alloc(heap, 16, 1));
  stave_heap_get_statistics(heap, &statistics);
  stave_get_statistics(&statistics);
  if (stave_heap_verify(heap) || stave_verify() || stave_heap_usable_size(heap, block)) return 1;
  stave_heap_destroy(heap);
  return stave_bounds_of(block, &bounds) + (int)sizeof stave_last_report + STAVE_VERSION_MAJOR;
}
)";

TEST(Header, compiles_without_a_warning_in_c_and_in_cpp) {
  if (std::system("command -v cc >/dev/null && command -v c++ >/dev/null") != 0) GTEST_SKIP() << "no compiler here";
  const auto directory = std::filesystem::temp_directory_path() / ("stave_header_" + std::to_string(getpid()));
  std::filesystem::create_directory(directory);
  const std::filesystem::path src = std::filesystem::path(__FILE__).parent_path().parent_path();
  for (const char* const compiler : {"cc -x c -std=c11", "cc -x c -std=c99", "cc -x c -std=gnu17",
                                     "c++ -x c++ -std=c++11", "c++ -x c++ -std=c++20"}) {
    const std::string user = (directory / "user").string();
    std::ofstream(user) << kUser;
    const std::string command = std::string(compiler) +
                                " -Wall -Wextra -Werror -Wstrict-prototypes -pedantic -fsyntax-only -I'" +
                                src.string() + "' '" + user + "'";
    const bool cpp = std::strstr(compiler, "c++") != nullptr;
    std::string fitting = command;
    if (cpp) fitting.erase(fitting.find(" -Wstrict-prototypes"), std::strlen(" -Wstrict-prototypes"));
    const int status = std::system(fitting.c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << fitting;
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
