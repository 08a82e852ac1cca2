// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A plain first-fit allocator: a list of free pieces in the order of their addresses, the first that is large enough is
// cut, neighbours are merged. It pays a 16-byte header per block, as boundary tags would, but keeps its lists aside,
// where it can find every misuse by looking.
#pragma once

#include <cstddef>
#include <map>

#include "props/reference_region.hpp"

namespace stave::props {

class FirstFit : public ReferenceRegion {
 public:
  static constexpr std::size_t kHeader = 16;

  explicit FirstFit(const HeapSetup& setup);
  void reset(const HeapSetup& setup);

  [[nodiscard]] void* allocate(unsigned thread, std::size_t size);
  [[nodiscard]] void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size);
  [[nodiscard]] void* allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size);
  [[nodiscard]] void* reallocate(unsigned thread, void* pointer, std::size_t size);
  void deallocate(unsigned thread, void* pointer);
  [[nodiscard]] std::size_t usable_size(unsigned thread, const void* pointer);
  void exit_thread(unsigned) {}
  void fork_child(unsigned) {}
  bool trim(unsigned thread);

  [[nodiscard]] HeapCounts counts() const;
  [[nodiscard]] Violation verify() const;
  /// Bytes of the region below which all blocks lie, since the start: what a growing break would have cost.
  [[nodiscard]] std::size_t extent() const { return extent_; }
  [[nodiscard]] std::size_t block_bytes(const void* pointer) const;

 private:
  struct Block {
    std::size_t start;  ///< of the header's piece; the address is at least kHeader further
    std::size_t bytes;
    std::size_t usable;
  };

  [[nodiscard]] char* take(std::size_t alignment, std::size_t size);
  void give_back(std::size_t start, std::size_t bytes);
  [[nodiscard]] std::map<std::size_t, Block>::iterator resolve(const void* pointer, const char* if_freed);

  std::map<std::size_t, std::size_t> free_;  ///< start -> bytes; no two touch
  std::map<std::size_t, Block> live_;        ///< offset of the address -> block
  std::size_t extent_ = 0;
};

}  // namespace stave::props
