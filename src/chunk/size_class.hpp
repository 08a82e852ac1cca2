// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Size classes, and the shape of the chunks that serve them. Constants only.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bits.hpp"
#include "os/pages.hpp"

namespace stave {

/// Number of a size class.
using SizeClass = std::uint32_t;

inline constexpr std::size_t kGrain = 16;  ///< every slot size is a multiple, every slot so aligned
inline constexpr std::size_t kLargestFineClass = 256;
inline constexpr std::size_t kLargestSlot = std::size_t{256} << 10;

namespace detail {

/// 16-byte steps up to 256; then four classes to a doubling, at most 25 % apart, and after each power of two one that
/// is 16 bytes larger, so that a request of 64, 1024 or 4096 bytes does not double when it carries a canary.
template <class Visit>
constexpr void for_each_class_size(Visit visit) {
  for (std::size_t size = kGrain; size <= kLargestFineClass; size += kGrain) visit(size);
  for (std::size_t power = kLargestFineClass; power != kLargestSlot; power *= 2) {
    visit(power + kGrain);
    for (std::size_t quarter = 1; quarter <= 4; ++quarter) visit(power + quarter * (power / 4));
  }
}

constexpr std::size_t count_classes() {
  std::size_t count = 0;
  for_each_class_size([&](std::size_t) { ++count; });
  return count;
}

}  // namespace detail

/// Classes by size. One more serves requests of no bytes: its slots have addresses of their own, and no access.
inline constexpr std::size_t kSizedClasses = detail::count_classes();
inline constexpr SizeClass kZeroClass = kSizedClasses;
inline constexpr std::size_t kClassCount = kSizedClasses + 1;
static_assert(kClassCount < 128, "the registry keeps a class in 7 bits");

/// So many addresses each of them has, and so it is aligned.
inline constexpr std::size_t kZeroSlot = 64;

/// Slot size of each class, ascending but for the last one.
inline constexpr std::array<std::uint32_t, kClassCount> kSlotSizes = [] {
  std::array<std::uint32_t, kClassCount> sizes{};
  std::size_t next = 0;
  detail::for_each_class_size([&](std::size_t size) { sizes[next++] = static_cast<std::uint32_t>(size); });
  sizes[kZeroClass] = kZeroSlot;
  return sizes;
}();

/// Requests up to here find their class in one table look-up, and are served on the fast path.
inline constexpr std::size_t kFrequentSize = std::size_t{8} << 10;

namespace detail {

/// At an offset in its page where a heap has nothing that is stored often: see ThreadHeap.
struct alignas(4096) PlacedClassTable {
  std::uint8_t unused[0xd00] = {};
  std::uint8_t of_grains[kFrequentSize / kGrain + 1] = {};
};

inline constexpr PlacedClassTable kClassTable = [] {
  PlacedClassTable table;
  std::uint8_t cls = 0;
  for (std::size_t grains = 0; grains <= kFrequentSize / kGrain; ++grains) {
    while (kSlotSizes[cls] < grains * kGrain) ++cls;
    table.of_grains[grains] = cls;
  }
  return table;
}();

/// Class of the first size above each power of two from kLargestFineClass on.
inline constexpr std::size_t kFineClasses = kLargestFineClass / kGrain;
inline constexpr std::size_t kClassesPerDoubling = 5;

}  // namespace detail

/// The same as size_class_for. pre: size <= kFrequentSize
[[nodiscard]] constexpr SizeClass frequent_class(std::size_t size) {
  return detail::kClassTable.of_grains[(size + (kGrain - 1)) / kGrain];
}

/// The smallest class whose slots have at least `size` bytes; a request of 0 is one of 1.
/// pre: size <= kLargestSlot
[[nodiscard]] constexpr SizeClass size_class_for(std::size_t size) {
  if (size <= kFrequentSize) [[likely]]
    return frequent_class(size);
  const std::size_t below = size - 1;
  const unsigned doubling = log2_floor(below) - log2_floor(kLargestFineClass);
  const std::size_t power = kLargestFineClass << doubling;
  const auto first = static_cast<SizeClass>(detail::kFineClasses + doubling * detail::kClassesPerDoubling);
  if (below < power + kGrain) return first;
  return first + 1 + static_cast<SizeClass>((below - power) >> (log2_floor(power) - 2));
}

/// Everything about a class that follows from its slot size and the page size.
///
///   chunk                                                                         chunk + units * 64 KiB
///   | header page(s) | guard page | slot 0 | slot 1 | ... | slot n-1 | (rest) | guard page |
///                                 ^ slots_offset
struct alignas(32) ClassShape {
  /// 2^64 / slot_size, rounded up: see slot_index.
  std::uint64_t reciprocal = 0;
  std::uint32_t slot_size = 0;
  std::uint32_t content_bytes = 0;  ///< of a slot, what has memory: all, or nothing
  std::uint32_t slots_offset = 0;   ///< of slot 0 from the chunk's first byte
  std::uint32_t slots_bytes = 0;    ///< slot_count * slot_size
  std::uint16_t slot_count = 0;
  std::uint8_t units_log2 = 0;
  std::uint8_t colour_count = 0;  ///< the header may begin at this many places, kLine apart

  [[nodiscard]] constexpr std::size_t chunk_bytes() const { return kUnit << units_log2; }
  [[nodiscard]] constexpr std::size_t line_count() const { return (slot_count + 63U) / 64U; }
  /// Of the header, with its words and all that is remembered of the slots.
  [[nodiscard]] constexpr std::size_t header_bytes(bool notes) const;
};

inline constexpr std::size_t kLine = 64;          ///< bytes of a cache line, and of the words of 64 slots
inline constexpr std::size_t kHeaderBytes = 128;  ///< of a chunk's header without its words
/// Of the notes on 64 slots, which follow the words of all slots where requests are remembered: two bytes a slot.
inline constexpr std::size_t kNotesBytes = 64 * sizeof(std::uint16_t);
inline constexpr unsigned kLargestUnitsLog2 = 4;

constexpr std::size_t ClassShape::header_bytes(bool notes) const {
  return kHeaderBytes + line_count() * (kLine + (notes ? kNotesBytes : 0));
}

/// A chunk takes more units, up to 16, until it has so many slots. Of sizes that programs have many of, a heap changes
/// its chunks less often with more; of larger ones more slots only spread what it touches.
[[nodiscard]] constexpr std::size_t fewest_slots(std::size_t slot_size) { return slot_size <= 2048 ? 100 : 28; }

/// The shape of a class's chunks where pages have `page` bytes (4, 16 or 64 KiB). `notes`: requests are remembered.
/// Then the two smallest classes have fewer slots, as many as the header page has room for.
[[nodiscard]] constexpr ClassShape class_shape(SizeClass cls, std::size_t page, bool notes = false) {
  const std::size_t size = kSlotSizes[cls];
  ClassShape shape;
  shape.slot_size = static_cast<std::uint32_t>(size);
  shape.content_bytes = cls == kZeroClass ? 0 : shape.slot_size;
  shape.reciprocal = ~std::uint64_t{0} / size + 1;
  shape.slots_offset = static_cast<std::uint32_t>(2 * page);
  for (unsigned log2 = 0; log2 <= kLargestUnitsLog2; ++log2) {
    const std::size_t bytes = kUnit << log2;
    if (bytes <= 3 * page) continue;
    std::size_t count = (bytes - 3 * page) / size;
    const std::size_t line = kLine + (notes ? kNotesBytes : 0);
    const std::size_t room = (page - kHeaderBytes) / line * 64;  // as many words as the header page holds
    const std::size_t bits = std::size_t{64} * 64;               // and as there are bits in `pending`
    count = std::min({count, room, bits});
    shape.units_log2 = static_cast<std::uint8_t>(log2);
    shape.slot_count = static_cast<std::uint16_t>(count);
    if (count >= fewest_slots(size)) break;
  }
  shape.slots_bytes = static_cast<std::uint32_t>(shape.slot_count * size);
  const std::size_t colours = (page - shape.header_bytes(notes)) / kLine + 1;
  shape.colour_count = static_cast<std::uint8_t>(colours < 64 ? colours : 64);
  return shape;
}

using ClassShapes = std::array<ClassShape, kClassCount>;

[[nodiscard]] constexpr ClassShapes class_shapes(std::size_t page, bool notes = false) {
  ClassShapes shapes{};
  for (SizeClass cls = 0; cls != kClassCount; ++cls) shapes[cls] = class_shape(cls, page, notes);
  return shapes;
}

/// What a pointer's distance from slot 0 means.
struct SlotIndex {
  std::uint64_t index;
  bool exact;  ///< the start of slot `index`; otherwise inside of it
};

/// The high half of offset * 2^64 / size is the quotient, and the low half less than one divisor's worth exactly for
/// multiples: the rounding of the reciprocal adds less than offset (D. Lemire, O. Kaser, N. Kurz, "Faster remainder by
/// direct computation", 2019). pre: reciprocal is a shape's, offset < its slots_bytes
[[nodiscard]] constexpr SlotIndex slot_index(std::uint64_t reciprocal, std::uint64_t offset) {
  const Uint128 product = static_cast<Uint128>(offset) * reciprocal;
  return {static_cast<std::uint64_t>(product >> 64), static_cast<std::uint64_t>(product) < reciprocal};
}

static_assert(kSlotSizes.front() == kGrain && kSlotSizes[kSizedClasses - 1] == kLargestSlot);
static_assert(
    [] {
      for (std::size_t i = 1; i != kSizedClasses; ++i) {
        if (kSlotSizes[i] <= kSlotSizes[i - 1]) return false;
        if (kSlotSizes[i - 1] >= kLargestFineClass && 4 * kSlotSizes[i] > 5 * kSlotSizes[i - 1]) return false;
      }
      return true;
    }(),
    "slot sizes ascend, at most 25 % apart");
static_assert(
    [] {
      for (const std::size_t page : {std::size_t{4096}, std::size_t{16384}, std::size_t{65536}}) {
        for (const bool notes : {false, true}) {
          for (const ClassShape& shape : class_shapes(page, notes)) {
            if (shape.slot_count == 0 || shape.colour_count == 0) return false;
          }
        }
      }
      return true;
    }(),
    "every class has a chunk, whatever the page size");

}  // namespace stave
