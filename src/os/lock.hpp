// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one lock of an allocator: it orders the slow paths (arena, large blocks, heap table), never a small malloc or
// free.
#pragma once

#include <atomic>
#include <cstdint>

namespace stave {

/// Identifies the calling OS thread, without a system call: the address of a thread-local word.
[[nodiscard]] std::uintptr_t this_thread();

/// A futex mutex that knows its holder, so that being entered again from inside is an answer and not a deadlock.
class Lock {
 public:
  /// false: the calling thread holds it already. Blocks otherwise.
  [[nodiscard]] bool acquire();
  void release();
  /// From here until release() the holder may acquire again. What the lock guards is whole, but must not change under
  /// fork: other libraries' handlers that run in the same thread may allocate all the same.
  void hold_for_fork() { forking_ = true; }
  /// In the only thread of a fork's child: whoever held it is gone.
  void reset_in_child();

 private:
  std::atomic<std::uint32_t> word_{0};  ///< 0 free, 1 held, 2 held and somebody may sleep
  std::atomic<std::uintptr_t> holder_{0};
  bool forking_ = false;  ///< the holder's
  unsigned depth_ = 0;    ///< the holder's: acquired again so many times
};

/// Blocks all signals of the calling thread while it lives. A handler can thus not interrupt a critical section and
/// ask for what the section is changing; nor can it leave the section by a long jump.
class SignalsBlocked {
 public:
  explicit SignalsBlocked(bool really);
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  std::uint64_t saved_ = 0;
  bool really_;
};

}  // namespace stave
