// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/call_stack.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <initializer_list>

#include "base/bits.hpp"
#include "os/kernel.hpp"
#include "os/lock.hpp"

namespace stave {
namespace {

/// A page of a stack with a page behind it that cannot be read.
class CallStackOnPages : public testing::Test {
 protected:
  CallStackOnPages() {
    pages_ = static_cast<std::uintptr_t*>(
        mmap(nullptr, 2 * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    (void)mprotect(reinterpret_cast<char*>(pages_) + kBytes, kBytes, PROT_NONE);
  }
  ~CallStackOnPages() override { munmap(pages_, 2 * kBytes); }

  void frame(std::size_t word, std::size_t caller, std::uintptr_t returns_to) {
    pages_[word] = address_of(pages_ + caller);
    pages_[word + 1] = returns_to;
  }
  [[nodiscard]] CallStack calls(std::size_t word) const {
    CallStack calls;
    take_calls(pages_ + word, calls);
    return calls;
  }

  const std::size_t kBytes = static_cast<std::size_t>(getpagesize());
  const std::size_t kWords = kBytes / sizeof(std::uintptr_t);
  std::uintptr_t* pages_ = nullptr;
};

TEST_F(CallStackOnPages, follows_frames_upward) {
  frame(0, 10, 0x10000);
  frame(10, 100, 0x20000);
  frame(100, 4, 0x30000);  // down again: the end
  const CallStack found = calls(0);
  ASSERT_EQ(found.count, 3U);
  EXPECT_EQ(found.frames[0], 0x10000U);
  EXPECT_EQ(found.frames[2], 0x30000U);
  EXPECT_EQ(found.thread, this_thread());
}

TEST_F(CallStackOnPages, ends_before_what_cannot_be_read) {
  frame(0, kWords - 2, 0x10000);
  frame(kWords - 2, kWords + 8, 0x20000);  // into the page without access
  EXPECT_EQ(calls(0).count, 2U);
  frame(0, kWords - 1, 0x10000);  // half of it there
  EXPECT_EQ(calls(0).count, 1U);
}

TEST_F(CallStackOnPages, ends_at_what_is_no_frame) {
  frame(0, 0, 0x10000);  // itself
  EXPECT_EQ(calls(0).count, 1U);
  frame(0, 10, 0x10000);
  pages_[0] += 4;  // misaligned
  EXPECT_EQ(calls(0).count, 1U);
  pages_[0] = address_of(pages_) + (std::uintptr_t{1} << 30);  // far away
  EXPECT_EQ(calls(0).count, 1U);
  frame(0, 10, 0x10000);
  frame(10, 20, 12);  // returns to no code
  EXPECT_EQ(calls(0).count, 1U);
}

TEST_F(CallStackOnPages, a_small_number_in_the_frames_register_is_no_frame) {
  ucontext_t context{};
  for (const std::uintptr_t number : {0, 8, 16, 4080}) {
#if defined(__x86_64__)
    context.uc_mcontext.gregs[REG_RIP] = 0x10000;
    context.uc_mcontext.gregs[REG_RBP] = static_cast<greg_t>(number);
#else
    context.uc_mcontext.pc = 0x10000;
    context.uc_mcontext.regs[29] = number;
#endif
    CallStack found;
    take_interrupted_calls(&context, found);
    ASSERT_EQ(found.count, 1U);
    EXPECT_EQ(found.frames[0], 0x10000U);
  }
}

TEST_F(CallStackOnPages, is_not_longer_than_its_room) {
  for (std::size_t i = 0; i != 40; ++i) frame(2 * i, 2 * i + 2, 0x10000 + i);
  const CallStack found = calls(0);
  ASSERT_EQ(found.count, CallStack::kMost);
  EXPECT_EQ(found.frames[CallStack::kMost - 1], 0x10000 + CallStack::kMost - 1);
}

TEST_F(CallStackOnPages, readable_is_what_can_be_read) {
  EXPECT_TRUE(kernel::is_readable(address_of(pages_)));
  EXPECT_FALSE(kernel::is_readable(address_of(pages_) + kBytes));
  EXPECT_FALSE(kernel::is_readable(8));
}

}  // namespace
}  // namespace stave
