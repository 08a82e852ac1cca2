// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the harness asks of a heap: Stave instances, the reference allocators and the deliberately broken heaps all
// give it, so that the harness can be run against each of them.
#pragma once

#include <concepts>
#include <csetjmp>
#include <cstddef>
#include <cstdint>

namespace stave::props {

/// The way out of a heap that detected a fault. A heap fills in what it knows and calls leave(): frames between are
/// skipped, so that code without exceptions can be judged, and the heap may then only be reset or thrown away.
struct Escape {
  std::jmp_buf env;
  bool armed = false;
  const char* fault = nullptr;  ///< kebab-case id
  const char* rule = nullptr;
  const void* address = nullptr;

  [[noreturn]] void leave(const char* fault_id, const char* which_rule, const void* where) {
    fault = fault_id;
    rule = which_rule;
    address = where;
    if (!armed) __builtin_trap();
    armed = false;
    // NOLINTNEXTLINE(cert-err52-cpp): the skipped frames hold nothing with a destructor.
    std::longjmp(env, 1);
  }
};

/// Decides which of a heap's system calls fail. The kinds are numbered as in ops.hpp's FailurePlan.
class Failures {
 public:
  static constexpr unsigned kKinds = 7;
  static constexpr unsigned kAny = 7;
  static constexpr unsigned kUnmap = 1;

  void plan_periodic(unsigned call, unsigned period) {
    periodic_call_ = call;
    period_ = period;
    seen_ = 0;
  }
  void plan_next(unsigned call, unsigned skip, unsigned count) {
    next_call_ = call;
    skip_ = skip;
    count_ = count;
  }
  /// Of all calls, whatever their kind, `skip` are left alone. From there on each bit of `pattern`, the lowest first,
  /// says whether one fails.
  void plan_pattern(std::uint64_t skip, std::uint64_t pattern) {
    pattern_skip_ = skip;
    pattern_ = pattern;
  }
  void clear() { *this = Failures(); }

  /// Called by the heap before each call to the system.
  [[nodiscard]] bool should_fail(unsigned call) {
    bool fails = false;
    if (period_ != 0 && (periodic_call_ == kAny || periodic_call_ == call)) fails = ++seen_ % period_ == 0;
    if (count_ != 0 && (next_call_ == kAny || next_call_ == call)) {
      if (skip_ != 0) {
        --skip_;
      } else {
        --count_;
        fails = true;
      }
    }
    if (pattern_ != 0) {
      if (pattern_skip_ != 0) {
        --pattern_skip_;
      } else {
        fails = fails || (pattern_ & 1U) != 0;
        pattern_ >>= 1U;
      }
    }
    if (fails) ++injected_;
    return fails;
  }
  /// The number of calls that failed on purpose so far.
  [[nodiscard]] std::uint64_t injected() const { return injected_; }

 private:
  unsigned periodic_call_ = 0;
  unsigned period_ = 0;
  unsigned seen_ = 0;
  unsigned next_call_ = 0;
  unsigned skip_ = 0;
  unsigned count_ = 0;
  std::uint64_t pattern_skip_ = 0;
  std::uint64_t pattern_ = 0;
  std::uint64_t injected_ = 0;
};

/// Whoever acts as another thread where a heap says that one could come in between.
struct Interrupter {
  void (*act)(void* context, const char* point) = nullptr;
  void* context = nullptr;

  void pass(const char* point) const {
    if (act != nullptr) act(context, point);
  }
};

/// How a heap is to be set up for a program.
struct HeapSetup {
  std::size_t region_bytes = 0;
  std::uint64_t seed = 0;
  unsigned profile = 1;
  bool guard_by_protect = false;
  unsigned threads = 1;
  bool threads_borrow = false;
  std::size_t page_bytes = 0;   ///< 0: the machine's
  bool pretend_guards = false;  ///< nothing faults; is_open says what would
};

struct HeapCounts {
  std::uint64_t live_allocations = 0;
  std::uint64_t live_bytes = 0;  ///< usable sizes added up
};

/// What verify() found.
struct Violation {
  const char* invariant = nullptr;  ///< nullptr: all hold
  const void* where = nullptr;
};

template <class H>
concept Heap = requires(H heap, const H& same, unsigned thread, std::size_t size, void* pointer) {
  { heap.allocate(thread, size) } -> std::same_as<void*>;
  { heap.allocate_zeroed(thread, size, size) } -> std::same_as<void*>;
  { heap.allocate_aligned(thread, size, size) } -> std::same_as<void*>;
  { heap.reallocate(thread, pointer, size) } -> std::same_as<void*>;
  { heap.deallocate(thread, pointer) } -> std::same_as<void>;
  { heap.usable_size(thread, pointer) } -> std::same_as<std::size_t>;
  { heap.exit_thread(thread) } -> std::same_as<void>;
  { heap.fork_child(thread) } -> std::same_as<void>;
  { heap.trim(thread) } -> std::same_as<bool>;
  { same.counts() } -> std::same_as<HeapCounts>;
  { same.verify() } -> std::same_as<Violation>;
  { same.region() } -> std::same_as<char*>;
  { same.region_bytes() } -> std::same_as<std::size_t>;
  { heap.escape() } -> std::same_as<Escape&>;
  { heap.failures() } -> std::same_as<Failures&>;
};

/// Whether the heap names points inside of its calls; only Stave does.
template <class H>
concept Interruptible = requires(H heap) {
  { heap.interrupter() } -> std::same_as<Interrupter&>;
};

}  // namespace stave::props
