// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/lock.hpp"

#include <csignal>

#include "base/attributes.hpp"
#include "base/bits.hpp"
#include "os/kernel.hpp"

namespace stave {
namespace {

constexpr long kFutexWaitPrivate = 0 | 128;
constexpr long kFutexWakePrivate = 1 | 128;
constexpr long kSignalSetBytes = 8;  // the kernel's sigset_t

}  // namespace

std::uintptr_t this_thread() {
  // The thread pointer itself: distinct for each live thread, known without a thread-local variable of our own.
  std::uintptr_t pointer = 0;
#if defined(__x86_64__)
  __asm__("mov %%fs:0, %0" : "=r"(pointer));
#else
  __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
#endif
  return pointer;
}

bool Lock::acquire() {
  const std::uintptr_t self = this_thread();
  if (holder_.load(std::memory_order_relaxed) == self) {
    if (!forking_) return false;
    ++depth_;
    return true;
  }
  std::uint32_t expected = 0;
  if (!word_.compare_exchange_strong(expected, 1, std::memory_order_acquire, std::memory_order_relaxed)) {
    // From here on the word says 2 while we hold it: one wake too many is harmless, one too few would hang.
    while (word_.exchange(2, std::memory_order_acquire) != 0) {
      (void)kernel::call(SYS_futex, kernel::as_word(&word_), kFutexWaitPrivate, 2);
    }
  }
  holder_.store(self, std::memory_order_relaxed);
  return true;
}

void Lock::release() {
  if (depth_ != 0) {
    --depth_;
    return;
  }
  forking_ = false;
  holder_.store(0, std::memory_order_relaxed);
  if (word_.exchange(0, std::memory_order_release) == 2) {
    (void)kernel::call(SYS_futex, kernel::as_word(&word_), kFutexWakePrivate, 1);
  }
}

void Lock::reset_in_child() {
  forking_ = false;
  depth_ = 0;
  holder_.store(0, std::memory_order_relaxed);
  word_.store(0, std::memory_order_relaxed);
}

SignalsBlocked::SignalsBlocked(bool really) : really_(really) {
  if (!really_) return;
  const std::uint64_t all = ~std::uint64_t{0};
  (void)kernel::call(SYS_rt_sigprocmask, SIG_BLOCK, kernel::as_word(&all), kernel::as_word(&saved_), kSignalSetBytes);
}

SignalsBlocked::~SignalsBlocked() {
  if (!really_) return;
  (void)kernel::call(SYS_rt_sigprocmask, SIG_SETMASK, kernel::as_word(&saved_), 0, kSignalSetBytes);
}

}  // namespace stave
