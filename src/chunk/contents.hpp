// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What lies in a slot that is not the program's: a canary behind an allocation, zeros in a free slot.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/bits.hpp"
#include "base/mutant.hpp"
#include "base/zeros.hpp"
#include "chunk/slot_line.hpp"
#include "os/sanitizer.hpp"
#include "policy/keys.hpp"

namespace stave {

inline constexpr std::size_t kCanaryBytes = sizeof(std::uint64_t);

/// What the options make of an allocator's slots.
struct ContentRules {
  Key canary;
  std::uint64_t zero_mask = 0;    ///< all ones: a slot is zeroed when it is freed
  std::size_t canary_need = 0;    ///< a slot carries a canary if it has so many bytes more than the request
  std::size_t canary_extra = 0;   ///< asked for beside the request, so that it does; the fast path knows nothing of it
  std::size_t fast_limit = 0;     ///< requests of 1 up to here take the fast path; 0: none, as there is more to check
  bool find_writes = false;       ///< a freed slot must still be zero when it may be used again
  bool neighbours = false;        ///< a free looks at the canary in front of its slot as well
  bool zero_size_faults = false;  ///< a request of no bytes gets an address without access
  bool watchful = false;       ///< the owner's free looks at more than the slot's canary: neighbours, exact, families
  bool exact = false;          ///< the size of each request is remembered, and the slack behind it looked at
  bool families = false;       ///< its family is remembered as well
  bool sized = false;          ///< a free that names a size or an alignment must name the right one
  bool sized_exactly = false;  ///< not only one of the right class; needs `exact`
  Vectors vectors = Vectors::narrow;  ///< that zeros are looked for with
  std::uint64_t slack_word = 0;       ///< what the slack begins with: one byte eight times, not one of text
};

/// Where a slot's canary lies.
STAVE_FAST std::uint64_t* canary_place(void* slot, std::size_t slot_size) {
  return reinterpret_cast<std::uint64_t*>(static_cast<char*>(slot) + slot_size - kCanaryBytes);
}

/// Tied to its place. Its first byte is 0: a string that runs into it ends there, and shows nothing of it.
STAVE_FAST std::uint64_t canary_of(const Key& key, const std::uint64_t* place) {
  return multiply_fold(address_of(place) ^ key.a, key.b) << 8;
}

/// Puts a canary behind a slot that has just become live, if there is room. Its bit comes last: a fork finds a live
/// slot without one rather than one that does not hold.
STAVE_FAST void set_canary(const ContentRules& rules, SlotLine* line, std::uint64_t index, void* slot,
                           std::size_t requested, std::size_t slot_size) {
  if (requested + rules.canary_need > slot_size) return;
  std::uint64_t* const place = canary_place(slot, slot_size);
  *place = canary_of(rules.canary, place);
  keep_order();
  line->canary.store(with_bit(line->canary.load(std::memory_order_relaxed), index), std::memory_order_relaxed);
}

/// The slots are about to stop being live, and what lies in them is not a canary any more.
STAVE_FAST void drop_canaries(SlotLine* line, std::uint64_t slots) {
  line->canary.store(line->canary.load(std::memory_order_relaxed) & ~slots, std::memory_order_relaxed);
  keep_order();
}

/// Whether a canary lies behind the slot.
STAVE_FAST bool has_canary(const SlotLine* line, std::uint64_t index) {
  return has_bit(line->canary.load(std::memory_order_relaxed), index);
}

/// Whether nothing wrote beyond the allocation in a slot that has a canary.
STAVE_FAST bool canary_holds(const ContentRules& rules, void* slot, std::size_t slot_size) {
  if (STAVE_MUTANT(canary_not_checked)) return true;
  const std::uint64_t* const place = canary_place(slot, slot_size);
  return *place == canary_of(rules.canary, place);
}

/// Longer slots are the C library's to zero, which knows this processor. Its call costs more than short ones take.
inline constexpr std::size_t kShortSlot = 512;

/// Clears a slot that is about to stop being live, its canary included. `bytes`: a multiple of 16.
STAVE_FAST void zero_short_slot(void* slot, std::size_t bytes) {
  if (STAVE_MUTANT(slot_not_zeroed)) return;
  using Grain [[gnu::vector_size(16), gnu::may_alias]] = std::uint64_t;
  auto* grain = static_cast<Grain*>(slot);
  for (Grain* const end = grain + bytes / sizeof(Grain); grain != end; ++grain) {
    *grain = Grain{};
    asm("" : "+r"(grain));  // or the compiler calls memset after all
  }
}

/// The same for slots that are longer than kShortSlot.
STAVE_SLOW inline void zero_long_slot(const ContentRules& rules, void* slot, std::size_t bytes) {
  if (STAVE_MUTANT(slot_not_zeroed)) return;
  if (bytes <= 4 * kShortSlot) return sanitizer::zero_own(slot, bytes);
  // What the program never wrote needs no memory for zeros, and a look at it costs no more than writing it would.
  constexpr std::size_t kPiece = 4096;
  auto* const start = static_cast<char*>(slot);
  for (std::size_t at = 0; at != bytes;) {
    const std::size_t piece = std::min(bytes - at, kPiece - address_of(start + at) % kPiece);
    if (!is_zero(start + at, piece, rules.vectors)) sanitizer::zero_own(start + at, piece);
    at += piece;
  }
}

/// For any slot.
STAVE_FAST void zero_slot(const ContentRules& rules, void* slot, std::size_t bytes) {
  if (bytes <= kShortSlot) return zero_short_slot(slot, bytes);
  zero_long_slot(rules, slot, bytes);
}

}  // namespace stave
