// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which fault a touch is. That the signal leads here, and whom else it may belong to: props/conformance/sigsegv.cpp.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "heap/test_instance.hpp"

namespace stave {
namespace {

using test::TestHeap;

std::string touch(const TestHeap& heap, const void* address, FaultRecord* fault) {
  return const_cast<TestHeap&>(heap).allocator().explain_touch(address, fault) ? fault_id(fault->fault) : "none";
}

std::string touch(const TestHeap& heap, const void* address) {
  FaultRecord fault;
  return touch(heap, address, &fault);
}

TEST(Touch, of_a_chunks_guards_says_the_side) {
  TestHeap heap;
  char* const slot = static_cast<char*>(heap.allocate(0, 40));
  const auto place = heap.place_of(slot);
  const ClassShape& shape = heap.constants().shapes[place.cls];
  char* const start = place.chunk->start();
  FaultRecord fault;
  EXPECT_EQ(touch(heap, start + shape.slots_offset - 1, &fault), "underflow");
  EXPECT_EQ(fault.chunk, start);
  EXPECT_EQ(fault.slot_size, shape.slot_size);
  EXPECT_EQ(touch(heap, start + shape.chunk_bytes() - page_size(), &fault), "overflow");
  EXPECT_EQ(fault.slot, shape.slot_count - 1);
  EXPECT_EQ(fault.address, start + shape.chunk_bytes() - page_size());
  // A slot is the program's to forbid, and so is nobody's what the allocator itself reads.
  EXPECT_EQ(touch(heap, slot), "none");
  EXPECT_EQ(touch(heap, place.chunk), "none");
}

TEST(Touch, of_an_empty_chunk_is_a_use_after_free) {
  TestHeap heap;
  std::vector<void*> slots;
  for (unsigned i = 0; i != 4000; ++i) slots.push_back(heap.allocate(0, 40));
  for (void* const slot : slots) heap.deallocate(0, slot);
  (void)heap.allocator().trim(&heap.heap(0));
  unsigned vacant = 0;
  for (void* const slot : slots) {
    if (heap.entry(slot).kind() != UnitKind::vacant) continue;
    ++vacant;
    FaultRecord fault;
    ASSERT_EQ(touch(heap, slot, &fault), "use-after-free");
    EXPECT_STREQ(fault.state, "free");
  }
  EXPECT_GT(vacant, 0U);
}

TEST(Touch, of_a_large_block) {
  TestHeap heap;
  char* const block = static_cast<char*>(heap.allocate(0, 400'000));
  const std::size_t usable = heap.usable_size(block);
  FaultRecord fault;
  EXPECT_EQ(touch(heap, block - 1, &fault), "underflow");
  EXPECT_EQ(fault.allocation, block);
  EXPECT_EQ(fault.slot_size, usable);
  EXPECT_TRUE(fault.large);
  EXPECT_EQ(touch(heap, block + usable), "overflow");
  EXPECT_EQ(touch(heap, block + usable - 1), "none");
  heap.deallocate(0, block);
  EXPECT_EQ(touch(heap, block + 100), "use-after-free");
}

TEST(Touch, of_a_sample) {
  Options options = options_of(Profile::fuzz);
  options.sample_seed = 3;
  TestHeap heap({.options = options, .samples = true});
  char* const pointer = static_cast<char*>(heap.allocate(0, 41));
  ASSERT_EQ(heap.entry(pointer).kind(), UnitKind::sample);
  FaultRecord fault;
  EXPECT_EQ(touch(heap, pointer - page_size(), &fault), "underflow");
  EXPECT_EQ(touch(heap, pointer + page_size(), &fault), "overflow");
  EXPECT_EQ(fault.address, pointer + page_size());
  EXPECT_EQ(fault.allocation, pointer);
  EXPECT_EQ(fault.slot_size, 41U);
  EXPECT_EQ(fault.sample, 1U);
  EXPECT_EQ(fault.sample_seed, 3U);
  EXPECT_GT(fault.allocated->count, 0U);
  EXPECT_EQ(touch(heap, pointer + 40), "none");
  heap.deallocate(0, pointer);
  EXPECT_EQ(touch(heap, pointer + 40, &fault), "use-after-free");
  EXPECT_GT(fault.freed->count, 0U);
  const void* unused = nullptr;
  heap.allocator().samples.for_each_record([&](const SampleRecord& record, std::uint32_t) {
    if (record.state == SampleRecord::State::unused) unused = reinterpret_cast<const void*>(record.place);
  });
  EXPECT_EQ(touch(heap, unused), "never-allocated");
}

class TouchFar : public testing::TestWithParam<std::uint64_t> {};

TEST_P(TouchFar, behind_a_sample) {
  Options options = options_of(Profile::fuzz);
  options.sample_pool = 64;
  options.sample_seed = GetParam();
  TestHeap heap({.options = options, .samples = true});
  // The first of them that is not the last of the places, which are made 64 at a time.
  char* sample = nullptr;
  char* next_place = nullptr;
  const auto kind_at = [&](const void* at) { return heap.entry(at).kind(); };
  do {
    sample = static_cast<char*>(heap.allocate(0, 41));
    next_place = reinterpret_cast<char*>(align_down(address_of(sample), kUnit) + kUnit);
  } while (kind_at(next_place) != UnitKind::sample);
  FaultRecord fault;
  for (char* const at : {next_place - 1, next_place, next_place + 5000}) {
    EXPECT_EQ(touch(heap, at, &fault), "overflow");
    EXPECT_EQ(fault.allocation, sample);
    EXPECT_EQ(fault.address, at);
  }
  // Once the one behind lives, or has lived, what is nearer to it, or was in it, is of that.
  std::vector<char*> others;
  char* next = nullptr;
  while (next == nullptr) {
    others.push_back(static_cast<char*>(heap.allocate(0, 41)));
    if (align_down(address_of(others.back()), kUnit) == address_of(next_place)) next = others.back();
  }
  EXPECT_EQ(touch(heap, next - page_size(), &fault), "underflow");
  EXPECT_EQ(fault.allocation, next);
  heap.deallocate(0, next);
  EXPECT_EQ(touch(heap, next, &fault), "use-after-free");
  EXPECT_EQ(fault.allocation, next);
  const bool is_near = next_place - (sample + 41) <= static_cast<std::ptrdiff_t>(2 * page_size());
  EXPECT_EQ(touch(heap, next_place, &fault), is_near ? "overflow" : "use-after-free");
  EXPECT_EQ(fault.allocation, is_near ? sample : next);
  heap.deallocate(0, sample);
  EXPECT_EQ(touch(heap, next_place, &fault), "use-after-free");
  EXPECT_EQ(fault.allocation, next);
}

INSTANTIATE_TEST_SUITE_P(Seed, TouchFar, testing::Range<std::uint64_t>(1, 33));

TEST(Touch, of_what_is_not_ours_or_does_not_verify_is_none) {
  TestHeap heap;
  int local = 0;
  EXPECT_EQ(touch(heap, &local), "none");
  EXPECT_EQ(touch(heap, nullptr), "none");
  char* const block = static_cast<char*>(heap.allocate(0, 400'000));
  heap.allocator().large.find_live(block, heap.entry(block), Fault::double_free)->usable += page_size();
  EXPECT_EQ(touch(heap, block - 1), "none");
}

}  // namespace
}  // namespace stave
