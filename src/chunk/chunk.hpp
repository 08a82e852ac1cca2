// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A chunk's header, and the only place that computes with the addresses of slots.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/bits.hpp"
#include "base/mutant.hpp"
#include "chunk/registry.hpp"
#include "chunk/size_class.hpp"
#include "chunk/slot_line.hpp"
#include "policy/keys.hpp"

namespace stave {

/// The header of a chunk: 64 KiB (or a few times that), aligned at 64 KiB, slots of ONE size class, ONE owning heap.
///
///   +------------------------+------------+--------------------------------------+------------+
///   | header page            | guard page | slot 0 | slot 1 | ...     | slot n-1 | guard page |
///   |  [header][lines][notes]| no access  |                                      | no access  |
///   +------------------------+------------+--------------------------------------+------------+
///       ^ the chunk's first byte + colour * 64
///
/// Invariants (verify() runs them):
///
///   C1  identity is what the registry has, and seal == seal_of(identity, owner)
///
///   C2  available + popcount of all live bits + slots that its class's cursor offers == opened
///
///   C3  next->previous == this and previous->next == this, within the list that `place` names
///
///   C4  a line's bit in `pending` is set only if its `done` is not 0
///
///   C5  opened <= slot_count; whole pages are opened
///
/// The owner of a chunk never changes while the chunk lives.
struct alignas(64) Chunk {
  /// Where the owner keeps the chunk.
  enum class Place : std::uint8_t {
    current,  ///< serves its class now, in no list
    usable,   ///< in the list of chunks that have slots to offer
    full,     ///< in the list of those with few or none
  };

  /// More than any chunk has slots.
  static constexpr std::uint32_t kNever = ~std::uint32_t{0};

  // Constant while the chunk lives, and sealed.
  void* owner;             ///< the thread heap
  std::uint64_t seal;      ///< over identity and owner
  RegistryEntry identity;  ///< its units' entry in the registry: address, class, kind of guards
  // The owner's.
  std::uint32_t until_notified;  ///< so many more available slots, and the lists want to know
  std::uint32_t notify_at;       ///< those are so many then
  Chunk* next;
  Chunk* previous;
  std::uint32_t opened;  ///< slots below this index may be handed out
  std::uint16_t cursor;  ///< the line to look at first
  Place place;
  std::uint8_t record;         ///< if the chunk is open: which of its class's records it has; not to be believed
  std::uint8_t short_refills;  ///< refills that found few candidates since a page was opened

  // Written by other threads: a line of its own, so that remote frees do not slow the owner.
  alignas(64) std::atomic<std::uint64_t> pending;  ///< lines with a remote free that was not signalled yet, a bit each
  std::atomic<Chunk*> inbox_next;                  ///< written by whoever pushes, read by whoever pops
  std::atomic<std::uint32_t> visited;              ///< sticky: a remote free was begun here at some time

  /// Opened slots that are neither live nor offered by the cursor: held ones count. Free counts one more by counting
  /// `until_notified` down, which is the cheapest.
  [[nodiscard]] std::uint32_t available() const { return notify_at - until_notified; }
  void set_available(std::uint32_t slots) { until_notified = notify_at - slots; }
  void notify_when(std::uint32_t slots) {
    until_notified = slots - available();
    notify_at = slots;
  }

  [[nodiscard]] std::uint32_t size_class() const { return identity.size_class(); }
  [[nodiscard]] SlotLine* lines() { return reinterpret_cast<SlotLine*>(this + 1); }
  [[nodiscard]] const SlotLine* lines() const { return reinterpret_cast<const SlotLine*>(this + 1); }

  /// The notes on slots, behind the lines, of which there are `line_count`. Only where requests are remembered.
  [[nodiscard]] std::uint16_t* notes(std::size_t line_count) {
    return reinterpret_cast<std::uint16_t*>(lines() + line_count);
  }

  /// The chunk's first byte.
  [[nodiscard]] char* start() { return reinterpret_cast<char*>(align_down(address_of(this), kUnit)); }
  [[nodiscard]] const char* start() const { return reinterpret_cast<const char*>(align_down(address_of(this), kUnit)); }
};
static_assert(sizeof(Chunk) == kHeaderBytes);

/// A 64-bit keyed, non-linear tag over everything that stays constant while a chunk lives. Not a checksum: its tags
/// cannot be forged from known pairs by linear arithmetic.
STAVE_FAST std::uint64_t seal_of(const Key& key, RegistryEntry identity, const void* owner) {
  return multiply_fold(identity.bits ^ key.a, address_of(owner) ^ key.b) + key.a;
}

/// Whether a header is what the registry and its seal say, and its chunk `owner`'s. The seal is computed from what is
/// known without the header, which then is only compared: its loads often miss the cache.
STAVE_FAST bool header_holds_for(const Key& key, const Chunk* chunk, RegistryEntry entry, const void* owner) {
  if (STAVE_MUTANT(seal_not_checked) && chunk->owner == owner) return true;
  return chunk->owner == owner && chunk->seal == seal_of(key, entry, owner) && chunk->identity.bits == entry.bits;
}

/// The same for whatever owner the header names. Its identity may be used only after that.
STAVE_FAST bool header_holds(const Key& key, const Chunk* chunk, RegistryEntry entry) {
  return header_holds_for(key, chunk, entry, chunk->owner);
}

/// The opened slots among the 64 of a word.
[[nodiscard]] inline std::uint64_t opened_in(const Chunk* chunk, const SlotLine* line) {
  const auto first = static_cast<std::uint32_t>(line - chunk->lines()) * 64;
  return first >= chunk->opened ? 0 : low_bits(chunk->opened - first);
}

/// The header of the chunk to which a registered unit belongs.
STAVE_FAST Chunk* header_of(RegistryEntry entry) { return reinterpret_cast<Chunk*>(entry.header()); }

}  // namespace stave
