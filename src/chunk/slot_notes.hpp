// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is remembered of a request as long as its slot is live, and what a free may say of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "base/attributes.hpp"
#include "base/bits.hpp"
#include "base/fault.hpp"
#include "base/mutant.hpp"
#include "chunk/contents.hpp"
#include "chunk/slot_line.hpp"
#include "os/sanitizer.hpp"

namespace stave {

/// Which functions an allocation is from. What one of them made, the others must not free.
enum class Family : std::uint8_t { malloc, new_single, new_array, new_aligned };

/// nullptr: it is none. A report tells of records that do not verify, too.
[[nodiscard]] constexpr const char* family_name(Family family) {
  constexpr const char* kNames[] = {"malloc", "new", "new[]", "aligned new"};
  const auto index = static_cast<std::size_t>(family);
  return index < std::size(kNames) ? kNames[index] : nullptr;
}

/// What an allocation is asked for.
struct Request {
  std::size_t size;
  Family family;

  // Not explicit: a size alone is a request of malloc.
  constexpr Request(std::size_t wanted, Family by = Family::malloc) : size(wanted), family(by) {}
};

/// What whoever frees says of an allocation. Two registers.
struct Claim {
  static constexpr std::size_t kAnySize = SIZE_MAX;

  std::size_t size = kAnySize;       ///< kAnySize: nothing is said
  std::uint32_t alignment_log2 = 0;  ///< 0: nothing is said
  Family family = Family::malloc;
  bool any_family = false;  ///< nothing is said of the family

  [[nodiscard]] std::size_t alignment() const { return std::size_t{1} << alignment_log2; }
};

/// So much of the slack behind a request is filled, where it is remembered; behind that only the canary is looked at.
inline constexpr std::size_t kFilledSlack = 64;
/// So much slack can be remembered.
inline constexpr std::size_t kMostSlack = 0xffff;

/// A live slot, and where its notes lie.
///
/// Only the owner writes the words of its line. `slack` is the slot's alone, and written by whoever may use the slot.
struct SlotNotes {
  SlotLine* line;
  std::uint64_t place;  ///< the slot's bit
  char* slot;
  std::size_t slot_size;  ///< what of it has memory
  std::uint16_t* slack;   ///< bytes of the slot beyond the request. Only where ContentRules::exact

  /// What a program may have of the slot without a move.
  [[nodiscard]] STAVE_FAST std::size_t capacity() const {
    return slot_size - (has_canary(line, place) ? kCanaryBytes : 0);
  }
  /// What it asked for; where that is not remembered, all that it may have.
  [[nodiscard]] STAVE_FAST std::size_t size(const ContentRules& rules) const {
    return rules.exact ? slot_size - *slack : capacity();
  }
  [[nodiscard]] STAVE_FAST Family family() const {
    const std::uint64_t low = line->family[0].load(std::memory_order_relaxed) >> place & 1;
    const std::uint64_t high = line->family[1].load(std::memory_order_relaxed) >> place & 1;
    return static_cast<Family>(low | high << 1);
  }
  STAVE_FAST void set_family(Family family) const {
    set_bit(line->family[0], static_cast<std::uint64_t>(family) & 1);
    set_bit(line->family[1], static_cast<std::uint64_t>(family) >> 1);
  }
  /// The end of what is filled behind the request: 8-byte aligned.
  [[nodiscard]] STAVE_FAST std::size_t filled_to() const {
    return std::min(capacity(), align_down(slot_size - *slack + kFilledSlack, sizeof(std::uint64_t)));
  }

 private:
  /// Most of a word are of one family.
  STAVE_FAST void set_bit(std::atomic<std::uint64_t>& word, std::uint64_t value) const {
    const std::uint64_t before = word.load(std::memory_order_relaxed);
    const std::uint64_t now = without_bit(before, place) | value << place;
    if (now != before) word.store(now, std::memory_order_relaxed);
  }
};

/// Visits the words of the filled slack as long as `visit(word, mask)` says true; `mask` has the bytes that are slack.
template <class Visit>
STAVE_FAST bool visit_slack(const SlotNotes& notes, Visit visit) {
  using Word [[gnu::may_alias]] = std::uint64_t;
  const std::size_t from = notes.slot_size - *notes.slack;
  const std::size_t to = notes.filled_to();
  std::size_t at = align_down(from, sizeof(Word));
  std::uint64_t mask = ~std::uint64_t{0} << 8 * (from - at);
  for (; at < to; at += sizeof(Word), mask = ~std::uint64_t{0}) {
    if (!visit(*reinterpret_cast<Word*>(notes.slot + at), mask)) return false;
  }
  return true;
}

/// Remembers the size of a request and fills what comes behind it. pre: rules.exact; size is at most the capacity, and
/// the slack at most kMostSlack
STAVE_FAST void note_size(const ContentRules& rules, const SlotNotes& notes, std::size_t size) {
  *notes.slack = static_cast<std::uint16_t>(notes.slot_size - size);
  (void)visit_slack(notes, [&](auto& word, std::uint64_t mask) STAVE_FAST_LAMBDA {
    word = (word & ~mask) | (rules.slack_word & mask);
    return true;
  });
}

/// Whether a request can have been of the size that is remembered.
STAVE_FAST bool size_is_possible(const ContentRules& rules, const SlotNotes& notes) {
  return !rules.exact || (*notes.slack <= notes.slot_size && notes.slot_size - *notes.slack <= notes.capacity());
}

/// Whether nothing wrote to the slack right behind a request, nor to its size.
STAVE_FAST bool slack_holds(const ContentRules& rules, const SlotNotes& notes) {
  if (STAVE_MUTANT(slack_not_checked)) return true;
  if (!size_is_possible(rules, notes)) return false;
  return visit_slack(notes, [&](const auto& word, std::uint64_t mask)
                                STAVE_FAST_LAMBDA { return ((word ^ rules.slack_word) & mask) == 0; });
}

/// Whether a live slot's canary holds, if it has one.
STAVE_FAST bool own_canary_holds(const ContentRules& rules, const SlotNotes& notes) {
  return !has_canary(notes.line, notes.place) || canary_holds(rules, notes.slot, notes.slot_size);
}

/// Whether nothing wrote beyond a live slot's request, as far as there is something to tell.
STAVE_FAST bool end_holds(const ContentRules& rules, const SlotNotes& notes) {
  return own_canary_holds(rules, notes) && (!rules.exact || slack_holds(rules, notes));
}

/// Whether the canary that lies right in front of a slot holds: of the slot before, if that is live and of the same
/// word. For the owner, since nobody else writes canaries. Neither that slot's overflow nor this one's underflow need
/// wait for the other's free.
STAVE_FAST bool front_holds(const ContentRules& rules, const SlotNotes& notes) {
  if (STAVE_MUTANT(neighbours_not_checked)) return true;
  if (!rules.neighbours || notes.place == 0 || !has_canary(notes.line, notes.place - 1)) return true;
  return canary_holds(rules, notes.slot - notes.slot_size, notes.slot_size);
}

/// Whether a claim says something of the size that must be looked at.
STAVE_FAST bool says(const ContentRules& rules, const Claim& claim) {
  return (claim.size != Claim::kAnySize || claim.alignment_log2 != 0) && rules.sized;
}

STAVE_FAST bool family_fits(const ContentRules& rules, Family family, const Claim& claim) {
  if (STAVE_MUTANT(family_not_checked)) return true;
  return !rules.families || family == claim.family || claim.any_family;
}

STAVE_FAST bool alignment_fits(const ContentRules& rules, const void* pointer, const Claim& claim) {
  if (STAVE_MUTANT(alignment_not_checked)) return true;
  return !rules.sized || (address_of(pointer) & (claim.alignment() - 1)) == 0;
}

/// What is wrong with a claim that does not fit.
struct Mismatch {
  Fault fault;
  const char* rule;
};
STAVE_COLD inline Mismatch mismatch_of(const ContentRules& rules, Family family, const void* pointer,
                                       const Claim& claim) {
  if (!family_fits(rules, family, claim)) {
    // By what the allocation is from.
    static constexpr const char* kRules[] = {
        "what malloc and its like made is freed by something else",
        "what operator new made is not freed by operator delete",
        "what operator new[] made is not freed by operator delete[]",
        "what an aligned operator new made is not freed by an aligned operator delete"};
    return {Fault::family_mismatch, kRules[static_cast<std::size_t>(family)]};
  }
  if (!alignment_fits(rules, pointer, claim)) {
    return {Fault::alignment_mismatch, "the address is not so aligned as the free says"};
  }
  return {Fault::size_mismatch, "the free names another size than was asked for"};
}

}  // namespace stave
