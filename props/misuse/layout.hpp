// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For programs that need to know where a chunk keeps what: the library's own layout, which is inline code, so that
// these programs run under LD_PRELOAD like all others. What an attacker would learn by looking at the memory.
#pragma once

#include <sys/uio.h>

#include "chunk/chunk.hpp"
#include "chunk/size_class.hpp"
#include "misuse.hpp"

namespace misuse {

/// Where a slot lies in its chunk.
struct Place {
  stave::Chunk* chunk;
  stave::ClassShape shape;
  char* start;  ///< the chunk's first byte
  uint32_t index;

  [[nodiscard]] stave::SlotLine& line() const { return chunk->lines()[index / 64]; }
  /// The bit of another slot of the same 64.
  [[nodiscard]] uint64_t neighbour() const { return uint64_t{1} << ((index % 64) ^ 1); }
  [[nodiscard]] char* slot(uint32_t number) const { return start + shape.slots_offset + number * shape.slot_size; }
  [[nodiscard]] char* first_guard() const { return start + shape.slots_offset - kPage; }
  [[nodiscard]] char* last_guard() const { return start + shape.chunk_bytes() - kPage; }
  /// The last slot, which must not be opened yet.
  [[nodiscard]] char* unopened() const {
    if (chunk->opened == shape.slot_count) _exit(kNoMemory);
    return slot(shape.slot_count - 1U);
  }
};

/// Reads memory that may not be there.
[[nodiscard]] inline bool readable(const void* address, void* out, size_t bytes) {
  const iovec here{out, bytes};
  const iovec there{const_cast<void*>(address), bytes};
  return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == static_cast<ssize_t>(bytes);
}

/// The place of a slot that malloc(size) gave. It looks for a header that names its own place and class, since the
/// registry, which knows, is not to be seen from here.
[[nodiscard]] inline Place place_of(const void* slot, size_t size) {
  const stave::SizeClass cls = stave::size_class_for(size);
  const stave::ClassShape shape = stave::class_shape(cls, kPage);
  char* start = chunk_of(slot);
  for (uint32_t unit = 0; unit < 1U << shape.units_log2; ++unit, start -= kUnit) {
    const auto offset = static_cast<size_t>(static_cast<const char*>(slot) - start) - shape.slots_offset;
    if (offset >= shape.slots_bytes || offset % shape.slot_size != 0) continue;
    for (uint32_t colour = 0; colour < shape.colour_count; ++colour) {
      alignas(stave::Chunk) char copy[sizeof(stave::Chunk)];
      if (!readable(start + colour * stave::kLine, copy, sizeof copy)) break;
      const auto* header = opaque(reinterpret_cast<const stave::Chunk*>(copy));
      char* const place = start + colour * stave::kLine;
      if (header->owner != nullptr && header->size_class() == cls &&
          header->identity.header() == reinterpret_cast<uintptr_t>(place)) {
        return {reinterpret_cast<stave::Chunk*>(place), shape, start, static_cast<uint32_t>(offset / shape.slot_size)};
      }
    }
  }
  _exit(kNoMemory);
}

/// Two live allocations of which the second lies right behind the first, in the same 64 slots.
struct Neighbours {
  char* first;
  char* second;
};

[[nodiscard]] inline Neighbours take_neighbours(size_t size) {
  static char* taken[2000];
  for (char*& now : taken) {
    now = take(size);
    const Place place = place_of(now, size);
    for (char* const* other = taken; *other != now; ++other) {
      if (*other == now - place.shape.slot_size && place.index % 64 != 0) return {*other, now};
    }
  }
  _exit(kNoMemory);
}

}  // namespace misuse
