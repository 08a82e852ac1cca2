// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The model of props/reference_heap.hpp in flat arrays: nothing of it is compiled out of sight, which MemorySanitizer
// needs, and forgetting everything costs nothing, which a fuzzer does before every program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "props/ops.hpp"
#include "props/reference_heap.hpp"

namespace stave::fuzz {

/// Same contract as props::ReferenceHeap, for as many allocations as a program can have at once, and what its forks
/// leave behind.
class FlatModel {
 public:
  static constexpr std::size_t kLeftBehind = 1024;
  static constexpr std::size_t kCapacity = props::kSlots + props::kPiles * props::kPileCapacity + 1 + kLeftBehind;

  [[nodiscard]] bool add(const props::Allocation& allocation) {
    const std::size_t at = lower_bound(allocation.address);
    if (at != count_ && starts_[at] < allocation.end()) return false;
    if (at != 0 && entries_[which_[at - 1]].end() > allocation.address) return false;
    if (count_ == kCapacity) return false;
    const std::uint16_t entry = spare_count_ != 0 ? spare_[--spare_count_] : static_cast<std::uint16_t>(used_++);
    entries_[entry] = allocation;
    std::memmove(&starts_[at + 1], &starts_[at], (count_ - at) * sizeof starts_[0]);
    std::memmove(&which_[at + 1], &which_[at], (count_ - at) * sizeof which_[0]);
    starts_[at] = allocation.address;
    which_[at] = entry;
    ++count_;
    bytes_ += allocation.usable;
    return true;
  }

  [[nodiscard]] props::Allocation* find(const void* address) {
    const std::size_t at = lower_bound(static_cast<const char*>(address));
    return at != count_ && starts_[at] == address ? &entries_[which_[at]] : nullptr;
  }

  void remove(const void* address) {
    const std::size_t at = lower_bound(static_cast<const char*>(address));
    if (at == count_ || starts_[at] != address) return;
    bytes_ -= entries_[which_[at]].usable;
    spare_[spare_count_++] = which_[at];
    --count_;
    std::memmove(&starts_[at], &starts_[at + 1], (count_ - at) * sizeof starts_[0]);
    std::memmove(&which_[at], &which_[at + 1], (count_ - at) * sizeof which_[0]);
  }

  template <class Visit>
  void for_each_live(Visit&& visit) const {
    for (std::size_t i = 0; i < count_; ++i) visit(entries_[which_[i]]);
  }

  [[nodiscard]] std::uint64_t live_allocations() const { return count_; }
  [[nodiscard]] std::uint64_t live_bytes() const { return bytes_; }

  void clear() {
    count_ = 0;
    used_ = 0;
    spare_count_ = 0;
    bytes_ = 0;
  }

 private:
  /// Index of the first live allocation at or above `address`.
  [[nodiscard]] std::size_t lower_bound(const char* address) const {
    std::size_t low = 0;
    std::size_t high = count_;
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (starts_[middle] < address) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  // starts_ and which_ are sorted by address; entries_ stays in place.
  const char* starts_[kCapacity];
  std::uint16_t which_[kCapacity];
  std::uint16_t spare_[kCapacity];
  props::Allocation entries_[kCapacity];
  std::size_t count_ = 0;
  std::size_t used_ = 0;
  std::size_t spare_count_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace stave::fuzz
