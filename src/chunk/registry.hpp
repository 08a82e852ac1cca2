// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What every 64 KiB unit of the address space is: exact, and outside of the chunks, so that nothing of a forged chunk
// is ever believed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/bits.hpp"
#include "os/pages.hpp"

namespace stave {

/// Only a chunk has the lowest bit: one test.
enum class UnitKind : std::uint32_t { none = 0, chunk = 1, vacant = 2, large = 4, sample = 6 };

/// How the guard pages of a chunk were laid.
enum class GuardKind : std::uint8_t { none = 0, advice = 1, protection = 2 };

/// The entry of one unit, 64 bits. All units of a chunk have the same.
///
///   bits   57-63  6-47                     3-4         0-2      large, sample: 3-31
///          class  address of the header    guard kind  kind     number of the record
///
/// A header's address is a multiple of 64 and has 48 bits at most.
struct RegistryEntry {
  std::uint64_t bits = 0;

  [[nodiscard]] static RegistryEntry of_chunk(UnitKind kind, std::uint32_t cls, const void* header, GuardKind guard) {
    return {static_cast<std::uint64_t>(kind) | static_cast<std::uint64_t>(guard) << 3 | address_of(header) |
            std::uint64_t{cls} << 57};
  }
  [[nodiscard]] static constexpr RegistryEntry of_large(std::uint32_t record) {
    return {static_cast<std::uint64_t>(UnitKind::large) | std::uint64_t{record} << 3};
  }
  [[nodiscard]] static constexpr RegistryEntry of_sample(std::uint32_t record) {
    return {static_cast<std::uint64_t>(UnitKind::sample) | std::uint64_t{record} << 3};
  }

  [[nodiscard]] constexpr UnitKind kind() const { return static_cast<UnitKind>(bits & 7); }
  [[nodiscard]] constexpr bool is_chunk() const { return (bits & 1) != 0; }
  /// 0 for what is not a chunk.
  [[nodiscard]] constexpr std::uint32_t size_class() const { return static_cast<std::uint32_t>(bits >> 57); }
  /// Of the chunk, vacant or not, to which the unit belongs.
  [[nodiscard]] constexpr std::uintptr_t header() const { return bits & 0xffff'ffff'ffc0; }
  /// The first byte of that chunk.
  [[nodiscard]] constexpr std::uintptr_t start() const { return bits & 0xffff'ffff'0000; }
  [[nodiscard]] constexpr GuardKind guard() const { return static_cast<GuardKind>(bits >> 3 & 3); }
  [[nodiscard]] constexpr std::uint32_t record() const { return static_cast<std::uint32_t>(bits >> 3); }
};
inline constexpr std::uint32_t kRecordLimit = std::uint32_t{1} << 29;

/// The registry of the whole address space. Two levels; a leaf describes 16 GiB, is made on demand and costs memory
/// only where it was written.
class SparseRegistry {
 public:
#if defined(__aarch64__)
  static constexpr unsigned kAddressBits = 48;
#else
  static constexpr unsigned kAddressBits = 47;
#endif
  static constexpr unsigned kLeafBits = 34;
  static constexpr std::size_t kLeafEntries = std::size_t{1} << (kLeafBits - 16);
  static constexpr std::size_t kRootEntries = std::size_t{1} << (kAddressBits - kLeafBits);

  /// Any address may be asked for; one that nobody registered is of kind none.
  STAVE_FAST RegistryEntry find(std::uintptr_t address) const {
    const std::uintptr_t leaf_index = address >> kLeafBits;
    if (leaf_index >= kRootEntries) [[unlikely]]
      return {};
    // Acquire is for the entries of a leaf that another thread has just made; it pairs with the release in prepare().
    const std::atomic<std::uint64_t>* const leaf = root_[leaf_index].load(std::memory_order_acquire);
    if (leaf == nullptr) [[unlikely]]
      return {};
    return {leaf[address >> 16 & (kLeafEntries - 1)].load(std::memory_order_relaxed)};
  }

  /// Makes the leaves for [start, start + bytes), so that set() cannot fail. false if memory is out, or the range lies
  /// beyond the addresses that the registry knows.
  template <class Pages>
  [[nodiscard]] bool prepare(Pages& pages, std::uintptr_t start, std::size_t bytes) {
    const std::uintptr_t last = (start + bytes - 1) >> kLeafBits;
    if (last >= kRootEntries) return false;
    for (std::uintptr_t index = start >> kLeafBits; index <= last; ++index) {
      if (root_[index].load(std::memory_order_relaxed) != nullptr) continue;
      void* const leaf = pages.map(kLeafEntries * sizeof(std::uint64_t), 0);
      if (leaf == nullptr) return false;
      root_[index].store(static_cast<std::atomic<std::uint64_t>*>(leaf), std::memory_order_release);
    }
    return true;
  }

  /// Bytes of the leaves that have memory.
  template <class Pages>
  [[nodiscard]] std::size_t resident_bytes(Pages& pages) const {
    std::size_t bytes = 0;
    for (const auto& leaf : root_) {
      const auto* const start = leaf.load(std::memory_order_acquire);
      if (start != nullptr) bytes += pages.resident_bytes(start, kLeafEntries * sizeof(std::uint64_t));
    }
    return bytes;
  }

  /// pre: prepared. A pointer reaches other threads only after its unit's entry, by whatever means the program passes
  /// it on; the entry is written before with release order.
  void set(std::uintptr_t address, RegistryEntry entry) {
    std::atomic<std::uint64_t>* const leaf = root_[address >> kLeafBits].load(std::memory_order_relaxed);
    leaf[address >> 16 & (kLeafEntries - 1)].store(entry.bits, std::memory_order_release);
  }

 private:
  std::atomic<std::atomic<std::uint64_t>*> root_[kRootEntries] = {};
};

/// The registry of an instance: one array for its region.
class FlatRegistry {
 public:
  void start(std::uintptr_t region, std::size_t units, std::atomic<std::uint64_t>* entries) {
    region_ = region;
    units_ = units;
    entries_ = entries;
  }

  STAVE_FAST RegistryEntry find(std::uintptr_t address) const {
    const std::uintptr_t unit = (address - region_) >> 16;
    if (unit >= units_) [[unlikely]]
      return {};
    return {entries_[unit].load(std::memory_order_relaxed)};
  }

  template <class Pages>
  [[nodiscard]] bool prepare(Pages&, std::uintptr_t, std::size_t) {
    return true;
  }

  template <class Pages>
  [[nodiscard]] std::size_t resident_bytes(Pages&) const {
    return 0;  // not the arena's
  }

  void set(std::uintptr_t address, RegistryEntry entry) {
    entries_[(address - region_) >> 16].store(entry.bits, std::memory_order_release);
  }

 private:
  std::uintptr_t region_ = 0;
  std::size_t units_ = 0;
  std::atomic<std::uint64_t>* entries_ = nullptr;
};

}  // namespace stave
