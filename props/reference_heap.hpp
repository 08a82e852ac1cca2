// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The model of a heap: which addresses are the program's, and what it was promised about them. Slow and obvious.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace stave::props {

enum class AllocationState : std::uint8_t { live, freed };

struct Allocation {
  char* address = nullptr;
  std::size_t size = 0;    ///< what was asked for
  std::size_t usable = 0;  ///< what the heap said may be written; at least `size`
  std::size_t alignment = 16;
  std::uint32_t fill = 0;  ///< seed of its contents
  std::uint8_t owner = 0;  ///< logical thread that last allocated or resized it
  AllocationState state = AllocationState::live;
  bool spoiled = false;  ///< an attacker wrote into it: its contents are anything
  bool lost = false;     ///< a fork left it behind: nobody will free it

  /// One past the last byte that no other allocation may have. Allocations of size zero have an address of their own.
  [[nodiscard]] const char* end() const { return address + (usable != 0 ? usable : 1); }
};

/// Invariants, which every heap must share:
///   M1  two live allocations have no byte in common
///   M2  a live allocation stays where it is, with its size, until it is freed or resized
///   M3  counts are those of the live entries
class ReferenceHeap {
 public:
  /// Enters a live allocation; false if a byte of it belongs to another live one (M1).
  [[nodiscard]] bool add(const Allocation& allocation) {
    const auto next = live_.lower_bound(allocation.address);
    if (next != live_.end() && next->second.address < allocation.end()) return false;
    if (next != live_.begin() && std::prev(next)->second.end() > allocation.address) return false;
    live_.emplace_hint(next, allocation.address, allocation);
    freed_.erase(allocation.address);
    bytes_ += allocation.usable;
    return true;
  }

  /// The live allocation that starts at `address`, or nullptr.
  [[nodiscard]] Allocation* find(const void* address) {
    const auto found = live_.find(static_cast<const char*>(address));
    return found == live_.end() ? nullptr : &found->second;
  }

  void remove(const void* address) {
    const auto found = live_.find(static_cast<const char*>(address));
    if (found == live_.end()) return;
    bytes_ -= found->second.usable;
    Allocation gone = found->second;
    gone.state = AllocationState::freed;
    freed_.insert_or_assign(found->first, gone);
    live_.erase(found);
  }

  /// Whether `address` was the start of an allocation that is freed and not handed out again.
  [[nodiscard]] bool is_freed(const void* address) const { return freed_.contains(static_cast<const char*>(address)); }

  template <class Visit>
  void for_each_live(Visit&& visit) const {
    for (const auto& [address, allocation] : live_) visit(allocation);
  }

  [[nodiscard]] std::uint64_t live_allocations() const { return live_.size(); }
  [[nodiscard]] std::uint64_t live_bytes() const { return bytes_; }

  void clear() {
    live_.clear();
    freed_.clear();
    bytes_ = 0;
  }

 private:
  std::map<const char*, Allocation> live_;
  std::map<const char*, Allocation> freed_;
  std::uint64_t bytes_ = 0;
};

}  // namespace stave::props
