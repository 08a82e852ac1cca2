// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A classical binary buddy allocator: power-of-two blocks with a header inside, halved on demand and merged with their
// buddies on free. It is one of the two references of the model tests, and the other side of the argument for buckets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "props/reference_region.hpp"

namespace stave::props {

class Buddy : public ReferenceRegion {
 public:
  static constexpr unsigned kSmallestOrder = 5;  ///< 32 bytes: a header and 16 bytes of use
  static constexpr std::size_t kHeader = 16;

  explicit Buddy(const HeapSetup& setup);
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

  [[nodiscard]] HeapCounts counts() const { return counts_; }
  [[nodiscard]] Violation verify() const;
  [[nodiscard]] std::size_t extent() const { return extent_; }
  [[nodiscard]] std::size_t block_bytes(const void* pointer) const;

 private:
  static constexpr unsigned kOrders = 48;

  /// Sits right before the address that the program gets.
  struct Header {
    std::uint64_t offset;  ///< of the block that it lies in
    std::uint64_t order;
  };

  // One byte for each smallest block: what begins there, and of which order.
  enum : std::uint8_t { kInside = 0, kFree = 0x40, kLive = 0x80, kOrderMask = 0x3F };

  [[nodiscard]] char* take(std::size_t alignment, std::size_t size);
  [[nodiscard]] std::uint8_t& begins(std::size_t offset) { return begins_[offset >> kSmallestOrder]; }
  [[nodiscard]] std::uint8_t begins(std::size_t offset) const { return begins_[offset >> kSmallestOrder]; }
  void begin(std::size_t offset, unsigned kind, unsigned order) {
    begins(offset) = static_cast<std::uint8_t>(kind | order);
  }
  /// The header of a live block's address, or a fault.
  [[nodiscard]] Header resolve(const void* pointer, const char* if_freed);
  [[nodiscard]] std::size_t usable_of(const Header& header, const void* pointer) const;

  std::array<std::set<std::size_t>, kOrders> free_;  ///< per order, offsets
  std::vector<std::uint8_t> begins_;
  unsigned top_ = 0;  ///< order of the whole region
  HeapCounts counts_;
  std::size_t extent_ = 0;
};

}  // namespace stave::props
