// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Requests of no bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/test_child.hpp"
#include "heap/test_instance.hpp"

namespace stave {
namespace {

using test::read_end;
using test::TestHeap;
using test::write_end;

constexpr unsigned kOwner = 0;
constexpr unsigned kOther = 1;

class ZeroSize : public testing::TestWithParam<bool> {
 protected:
  static TestHeap::Setup setup(Profile profile) {
    Options options = options_of(profile);
    options.guard_advice = GetParam() ? 1 : 0;
    return {.options = options};
  }
};

TEST_P(ZeroSize, faults_at_any_access_before_and_after_its_free) {
  for (const Profile profile : {Profile::standard, Profile::strict, Profile::fuzz}) {
    TestHeap heap(setup(profile));
    for (const std::size_t alignment : {1UL, 16UL, 64UL}) {
      auto* const pointer = static_cast<char*>(heap.allocate_aligned(kOwner, alignment, 0));
      for (const int offset : {-1, 0, 1, 63}) {
        EXPECT_EQ(write_end(pointer + offset), -SIGSEGV) << offset;
        EXPECT_EQ(read_end(pointer + offset), -SIGSEGV) << offset;
      }
      EXPECT_EQ(heap.usable_size(pointer), 0U);
      heap.deallocate(kOwner, pointer);
      EXPECT_EQ(write_end(pointer), -SIGSEGV);
    }
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST_P(ZeroSize, has_an_address_of_its_own) {
  TestHeap heap(setup(Profile::standard));
  std::set<void*> live;
  for (int i = 0; i != 3000; ++i) {
    void* const pointer = i % 2 == 0 ? heap.allocate(kOwner, 0) : heap.allocate_zeroed(kOther, 0, 8);
    ASSERT_TRUE(live.insert(pointer).second);
  }
  EXPECT_STREQ(heap.verify(), "");
  for (void* const pointer : live) heap.deallocate(kOwner, pointer);
  heap.trim(kOwner);
  heap.trim(kOther);
  EXPECT_STREQ(heap.verify(), "");
}

TEST_P(ZeroSize, grows_by_realloc) {
  for (const Profile profile : {Profile::standard, Profile::strict}) {
    TestHeap heap(setup(profile));
    for (const std::size_t size : {1UL, 100UL, 5000UL, 1UL << 20}) {
      for (const unsigned thread : {kOwner, kOther}) {
        auto* const pointer = static_cast<char*>(heap.reallocate(thread, heap.allocate(kOwner, 0), size));
        ASSERT_NE(pointer, nullptr);
        pointer[0] = pointer[size - 1] = 1;
        heap.deallocate(kOwner, pointer);
      }
    }
    EXPECT_STREQ(heap.verify(), "");
  }
}

TEST_P(ZeroSize, dies_of_the_same_as_any_other) {
  TestHeap heap(setup(Profile::standard));
  const auto death = [&](unsigned first, unsigned second) {
    void* const pointer = heap.allocate(kOwner, 0);
    heap.deallocate(first, pointer);
    return heap.death_of([&] { heap.deallocate(second, pointer); });
  };
  EXPECT_STREQ(death(kOwner, kOwner), "double-free");
  EXPECT_STREQ(death(kOther, kOwner), "double-free");
  EXPECT_STREQ(death(kOther, kOther), "double-free");
  TestHeap other(setup(Profile::standard));
  EXPECT_STREQ(other.death_of([&] { other.deallocate(kOwner, static_cast<char*>(other.allocate(kOwner, 0)) + 16); }),
               "interior-pointer");
}

TEST_P(ZeroSize, is_served_where_the_kernel_refuses_guards) {
  TestHeap heap(setup(Profile::standard));
  heap.fails = [](SysCall call) { return call == SysCall::guard_install || call == SysCall::protect; };
  void* const pointer = heap.allocate(kOwner, 0);
  ASSERT_NE(pointer, nullptr);
  EXPECT_NE(heap.allocator().stats().guards_skipped, 0U);
  heap.deallocate(kOwner, pointer);
  EXPECT_STREQ(heap.verify(), "");
}

TEST_P(ZeroSize, costs_no_memory_but_headers) {
  TestHeap heap(setup(Profile::standard));
  for (int i = 0; i != 100'000; ++i) (void)heap.allocate(kOwner, 0);
  const Stats stats = heap.allocator().stats();
  EXPECT_EQ(stats.live_bytes, 0U);
  EXPECT_GE(stats.live_allocations, 100'000U);
  EXPECT_LT(heap.allocator().resident().chunks_bytes, stats.chunks * page_size() + (1U << 20));
}

TEST(ZeroSizeOff, is_a_request_of_one_byte) {
  TestHeap heap({.options = options_of(Profile::light)});
  void* const pointer = heap.allocate(kOwner, 0);
  EXPECT_EQ(write_end(static_cast<char*>(pointer)), test::kSurvived);
  EXPECT_GE(heap.usable_size(pointer), 1U);
}

INSTANTIATE_TEST_SUITE_P(Guards, ZeroSize, testing::Bool(),
                         [](const auto& guards) { return guards.param ? "by_advice" : "by_protection"; });

}  // namespace
}  // namespace stave
