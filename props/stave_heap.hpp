// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A Stave instance as the harness sees a heap.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "chunk/size_class.hpp"
#include "heap/instance.hpp"
#include "props/heap_concept.hpp"
#include "props/ops.hpp"

namespace stave::props {

/// The edges of Stave's size classes.
[[nodiscard]] inline const SizeTable& stave_sizes() {
  static const SizeTable table = [] {
    std::array<std::size_t, kSizedClasses> sizes{};
    std::copy_n(kSlotSizes.begin(), sizes.size(), sizes.begin());
    return SizeTable(sizes);
  }();
  return table;
}

class StaveHeap {
 public:
  static constexpr bool kPoisons = true;
  using Placement = stave::Placement;
  using Claim = stave::Claim;

  /// Ends the process when the instance cannot be made.
  explicit StaveHeap(const HeapSetup& setup);
  ~StaveHeap() { Instance::destroy(instance_); }
  StaveHeap(const StaveHeap&) = delete;
  StaveHeap& operator=(const StaveHeap&) = delete;

  /// The region may be no larger than in the setup that the heap was made with, and guards are pretended as then.
  void reset(const HeapSetup& setup);

  [[nodiscard]] bool start_thread(unsigned thread) { return instance_->start_thread(thread); }
  [[nodiscard]] void* allocate(unsigned thread, std::size_t size) { return instance_->allocate(thread, size); }
  [[nodiscard]] void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) {
    return instance_->allocate_zeroed(thread, count, size);
  }
  [[nodiscard]] void* allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size) {
    return instance_->allocate_aligned(thread, alignment, size);
  }
  [[nodiscard]] void* reallocate(unsigned thread, void* pointer, std::size_t size) {
    return instance_->reallocate(thread, pointer, size);
  }
  void deallocate(unsigned thread, void* pointer) { instance_->deallocate(thread, pointer); }
  void deallocate(unsigned thread, void* pointer, const Claim& claim) { instance_->deallocate(thread, pointer, claim); }
  [[nodiscard]] std::size_t usable_size(unsigned thread, const void* pointer) {
    return instance_->usable_size(thread, pointer);
  }
  void exit_thread(unsigned thread) { instance_->exit_thread(thread); }
  void fork_child(unsigned survivor) { instance_->fork_child(survivor); }
  bool trim(unsigned thread) { return instance_->trim(thread); }

  [[nodiscard]] HeapCounts counts() const {
    const Stats stats = instance_->stats();
    return {stats.live_allocations, stats.live_bytes};
  }
  /// Chunks that a thread heap owns, slots that are held, and large blocks that are live.
  [[nodiscard]] std::uint64_t parts_in_use() const {
    const Stats stats = instance_->stats();
    return stats.chunks + stats.large_blocks + stats.held_slots;
  }
  [[nodiscard]] Violation verify() const {
    const VerifyResult result = instance_->verify();
    return {result.invariant, result.where};
  }
  [[nodiscard]] Placement placement(const void* address) const { return instance_->placement(address); }
  [[nodiscard]] bool is_open(const void* address) const { return instance_->is_open(address); }
  [[nodiscard]] char* region() const { return instance_->region(); }
  [[nodiscard]] std::size_t region_bytes() const { return instance_->region_bytes(); }
  [[nodiscard]] Escape& escape() { return escape_; }
  [[nodiscard]] Failures& failures() { return failures_; }
  [[nodiscard]] Interrupter& interrupter() { return interrupter_; }
  [[nodiscard]] Instance& instance() { return *instance_; }

 private:
  [[nodiscard]] InstanceConfig config_of(const HeapSetup& setup);

  Instance* instance_ = nullptr;
  Escape escape_;
  Failures failures_;
  Interrupter interrupter_;
};

}  // namespace stave::props
