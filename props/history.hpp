// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Linearizability of calls that interrupt one another: what they answered must be what the same calls answer one after
// another, in some order in which none comes before one that had returned when it began.
#pragma once

#include <algorithm>
#include <climits>
#include <cstddef>
#include <map>
#include <vector>

#include "props/heap_concept.hpp"

namespace stave::props {

/// The calls since nobody was last inside of one, and what was live then. Of a heap taken as a sequential object:
///   * what a call releases is live, and what it takes has no byte in common with what is live after that;
///   * a call that is refused changes nothing;
///   * a call that never returned, since its thread was lost in a fork, may have released what it was to.
/// Contents, zeros, and reasons of refusals are of one allocation or call, and the same in every order.
class History {
 public:
  using Call = std::size_t;

  [[nodiscard]] Call begin() {
    calls_.push_back({nullptr, nullptr, 0, ++clock_, kNever});
    ++inside_;
    return calls_.size() - 1;
  }
  /// What the call releases unless it is refused.
  [[nodiscard]] Call begin(const void* released) {
    const Call call = begin();
    calls_[call].released = static_cast<const char*>(released);
    return call;
  }
  void end(Call call, const void* taken, std::size_t bytes, bool is_refused) {
    Entry& entry = calls_[call];
    entry.taken = static_cast<const char*>(taken);
    entry.bytes = std::max<std::size_t>(bytes, 1);
    if (is_refused) entry.released = nullptr;
    entry.returned = ++clock_;
    if (--inside_ == 0) conclude();
  }
  /// The threads that are inside never return.
  void abandon() {
    inside_ = 0;
    conclude();
  }
  /// An address of the first calls that no order explains, or nullptr.
  [[nodiscard]] const void* unexplained() const { return unexplained_; }

 private:
  static constexpr unsigned kNever = UINT_MAX;

  struct Entry {
    const char* released;
    const char* taken;
    std::size_t bytes;
    unsigned began;
    unsigned returned;
    bool is_placed = false;
  };

  void conclude() {
    std::sort(calls_.begin(), calls_.end(), [](const Entry& a, const Entry& b) { return a.returned < b.returned; });
    if (!explain() && unexplained_ == nullptr) {
      const Entry& last = *std::find_if(calls_.rbegin(), calls_.rend(), [](const Entry& call) {
        return call.taken != nullptr || call.released != nullptr;
      });
      unexplained_ = last.taken != nullptr ? last.taken : last.released;
    }
    for (const Entry& call : calls_) {
      if (call.returned == kNever && !call.is_placed) live_.erase(call.released);
    }
    calls_.clear();
  }

  /// Places the calls that are left, those that returned first before the others: of calls that are atomic where they
  /// return, nothing else is ever tried.
  [[nodiscard]] bool explain() {
    unsigned first_return = kNever;
    for (const Entry& call : calls_) {
      if (!call.is_placed) first_return = std::min(first_return, call.returned);
    }
    if (first_return == kNever) return true;
    for (Entry& call : calls_) {
      if (call.is_placed || call.began > first_return) continue;
      const auto released = live_.find(call.released);
      if (call.released != nullptr && released == live_.end()) continue;
      const std::size_t released_bytes = call.released != nullptr ? released->second : 0;
      if (call.released != nullptr) live_.erase(released);
      const bool is_possible = call.taken == nullptr || is_nobodys(call.taken, call.bytes);
      if (is_possible) {
        if (call.taken != nullptr) live_[call.taken] = call.bytes;
        call.is_placed = true;
        if (explain()) return true;
        call.is_placed = false;
        if (call.taken != nullptr) live_.erase(call.taken);
      }
      if (call.released != nullptr) live_[call.released] = released_bytes;
    }
    return false;
  }

  [[nodiscard]] bool is_nobodys(const char* address, std::size_t bytes) const {
    const auto next = live_.lower_bound(address);
    if (next != live_.end() && next->first < address + bytes) return false;
    return next == live_.begin() || std::prev(next)->first + std::prev(next)->second <= address;
  }

  std::vector<Entry> calls_;
  std::map<const char*, std::size_t> live_;
  unsigned clock_ = 0;
  unsigned inside_ = 0;
  const void* unexplained_ = nullptr;
};

/// A heap whose verify() also says whether some order explains what its calls answered. For legal programs: frees that
/// say something of an allocation are not noted.
template <Heap H>
class Recorded : public H {
 public:
  using H::deallocate;
  using H::H;

  template <class Setup>
  void reset(const Setup& setup) {
    history_ = History();
    H::reset(setup);
  }
  void* allocate(unsigned thread, std::size_t size) {
    const History::Call call = history_.begin();
    return taken(call, H::allocate(thread, size), size);
  }
  void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) {
    const History::Call call = history_.begin();
    return taken(call, H::allocate_zeroed(thread, count, size), count * size);
  }
  void* allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size) {
    const History::Call call = history_.begin();
    return taken(call, H::allocate_aligned(thread, alignment, size), size);
  }
  void* reallocate(unsigned thread, void* pointer, std::size_t size) {
    const History::Call call = history_.begin(pointer);
    void* const result = H::reallocate(thread, pointer, size);
    history_.end(call, result, size, result == nullptr && size != 0);
    return result;
  }
  void deallocate(unsigned thread, void* pointer) {
    const History::Call call = history_.begin(pointer);
    H::deallocate(thread, pointer);
    history_.end(call, nullptr, 0, false);
  }
  void fork_child(unsigned thread) {
    history_.abandon();
    H::fork_child(thread);
  }
  [[nodiscard]] Violation verify() const {
    if (history_.unexplained() != nullptr) return {"no order explains what calls answered", history_.unexplained()};
    return H::verify();
  }

 private:
  void* taken(History::Call call, void* result, std::size_t bytes) {
    history_.end(call, result, bytes, result == nullptr);
    return result;
  }

  History history_;
};

}  // namespace stave::props
