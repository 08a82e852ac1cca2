// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Small allocations. Straight line; whatever is not as it should be leaves it for an out-of-line function that starts
// again, does what is rare and dies of what is wrong. No lock and no locked instruction between here and the return.
#pragma once

#include <atomic>
#include <bit>

#include "base/attributes.hpp"
#include "base/mutant.hpp"
#include "chunk/slot_notes.hpp"
#include "heap/allocator.hpp"
#include "os/sanitizer.hpp"

namespace stave {

/// Picks the slot that the next call gets: the first candidate from a random place on, among the slots that are opened
/// (of a word of which few are, the first ones would be taken in their order otherwise). Ahead,
/// because the address of what the program is about to write to then waits for nothing. Without candidates or noise the
/// next call goes the long way, which finds more.
STAVE_FAST void pick_next(ThreadHeap& heap, Cursor& cursor) {
  const std::uint64_t candidates = cursor.candidates;
  const std::size_t noise_left = heap.noise_left;
  if (candidates == 0 || noise_left == 0) [[unlikely]] {
    cursor.next = nullptr;
    return;
  }
  heap.noise_left = static_cast<std::uint8_t>(noise_left - 1);
  const std::uint64_t from = std::uint64_t{heap.noise[noise_left - 1]} * cursor.opened >> 8;
  const std::uint64_t behind = candidates & ~std::uint64_t{0} << from;
  const auto place = static_cast<std::uint64_t>(__builtin_ctzll(behind != 0 ? behind : candidates));
  if (!STAVE_MUTANT(overlapping_hand_out)) cursor.candidates = without_bit(candidates, place);
  cursor.place = static_cast<std::uint8_t>(place);
  cursor.next = cursor.slots + place * std::size_t{cursor.slot_size};
}

/// The only place where a slot crosses the border to the program. `lay_end(line, place, slot, slot_size)` does what is
/// to be done behind the request, and notes it. \return nullptr: the word is not as its heap left it, or somebody is
/// freeing the slot that was picked; nothing was changed. pre: the heap was entered before anything of the cursor was
/// read; cursor.next != nullptr.
template <class LayEnd>
STAVE_FAST void* hand_out(ThreadHeap& heap, Cursor& cursor, std::size_t requested, LayEnd lay_end) {
  char* const slot = cursor.next;
  const std::uint64_t place = cursor.place;
  SlotLine* const line = cursor.line;
  OpenWord* const word = cursor.word;
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  if (!word->holds(live, line->held)) [[unlikely]]
    return nullptr;
  // A mark on a slot that is not live: two threads freed it at once. (That it is not live follows from line 2.)
  if (!STAVE_MUTANT(overlapping_hand_out) && has_bit(line->marked.load(std::memory_order_relaxed), place)) [[unlikely]]
    return nullptr;
  const std::uint64_t now = with_bit(live, place);
  line->live.store(now, std::memory_order_relaxed);
  keep_order();
  word->live = now;
  lay_end(line, place, slot, cursor.slot_size);
  // The program may pass the pointer on by a relaxed store: whoever then frees it must see its live bit. Pairs with the
  // address dependency from the pointer to remote_free's load. On x86 this keeps the compiler in order, no more.
  std::atomic_thread_fence(std::memory_order_release);
  sanitizer::mark_live(slot, requested, cursor.slot_size);
  pick_next(heap, cursor);
  heap.recent = &cursor;
  if (slot == nullptr) __builtin_unreachable();  // spares the caller a test
  return slot;
}

/// malloc's fast path; nullptr: not on it. Any `requested` is allowed.
STAVE_FAST void* allocate_fast(const ContentRules& contents, ThreadHeap& heap, std::size_t requested) {
  // A thread without a heap has one that is always busy, and so has a signal handler that interrupted its own thread
  // in here: "not initialised" and "nested" are one branch.
  if (requested - 1 >= contents.fast_limit || heap.is_busy()) [[unlikely]]
    return nullptr;
  heap.enter();
  Cursor& cursor = heap.cursors[frequent_class(requested)];
  void* slot = nullptr;
  if (cursor.next != nullptr) [[likely]]
    slot = hand_out(heap, cursor, requested,
                    [&](auto* line, auto place, void* at, std::size_t slot_size)
                        STAVE_FAST_LAMBDA { set_canary(contents, line, place, at, requested, slot_size); });
  heap.leave();
  return slot;
}

/// malloc and operator new: nullptr if memory is out.
template <class S>
STAVE_FAST void* allocate(Allocator<S>& allocator, ThreadHeap& heap, Request request) {
  if (void* const slot = allocate_fast(allocator.here().constants.contents, heap, request.size)) [[likely]]
    return slot;
  return allocator.allocate_slow(heap, request);
}

/// The other border, for a slot of an open chunk: it comes back on its owner's own thread. From now on it is held,
/// being neither live nor fresh nor offered; a later refill decides whether it may be chosen again.
///
/// `where` names line, word and slot size as a cursor does, and `pointer` is its slot with the bit `place`. `fits()`:
/// all else that a free looks at is as it must be. \return false: not on this path; nothing was changed. pre: the heap
/// was entered before.
template <bool kShort, class Where, class Fits>
STAVE_FAST bool take_back(const ContentRules& contents, const Where& where, std::uint64_t place, void* pointer,
                          Fits fits) {
  if (!has_bit(where.word->live, place)) [[unlikely]]
    return false;
  if (has_bit(where.line->marked.load(std::memory_order_relaxed), place)) [[unlikely]]
    return false;
  if (!where.word->holds(where.line->live.load(std::memory_order_relaxed), where.line->held)) [[unlikely]]
    return false;
  if (!fits()) [[unlikely]]
    return false;
  if (has_canary(where.line, place)) {
    if (!canary_holds(contents, pointer, where.slot_size)) [[unlikely]]
      return false;
    drop_canaries(where.line, std::uint64_t{1} << (place & 63));
  }
  sanitizer::mark_free(pointer, where.slot_size);
  if constexpr (kShort) {
    zero_short_slot(pointer, where.slot_size & contents.zero_mask);
  } else {
    zero_slot(contents, pointer, where.slot_size & contents.zero_mask);
  }
  keep_order();
  // What is read again here need not be kept in registers meanwhile.
  const std::uint64_t now = without_bit(where.word->live, place);
  where.line->live.store(now, std::memory_order_relaxed);
  keep_order();
  where.word->live = now;
  return true;
}

/// free and operator delete: any pointer is allowed, and any that is not to be freed dies by name before the call
/// returns. `claim` is what the caller says of it.
///
/// A chunk's header verified when the chunk was opened, and its record says which addresses are its slots: there is no
/// need to look into the registry. What was allocated last is what is freed next, more often than not.
template <class S>
STAVE_FAST void deallocate(Allocator<S>& allocator, ThreadHeap& heap, void* pointer, const Claim claim = {}) {
  const ContentRules& contents = allocator.here().constants.contents;
  if (heap.is_busy()) [[unlikely]]
    return allocator.deallocate_elsewhere(heap, pointer, claim);
  heap.enter();
  const Cursor* const cursor = heap.recent;
  const SlotIndex slot = slot_index(cursor->reciprocal, address_of(pointer) - address_of(cursor->slots));
  if (!slot.exact || slot.index > 63) return allocator.deallocate_slow(heap, pointer, claim);
  if (header_sum(cursor->open->chunk) != cursor->open->header) [[unlikely]]
    return allocator.deallocate_slow(heap, pointer, claim);
  // A size that is none of the fast path has no cursor, and alignments are rare.
  const bool says = claim.size != Claim::kAnySize || claim.alignment_log2 != 0;
  const auto fits = [&]() STAVE_FAST_LAMBDA {
    return !says || !contents.sized ||
           (claim.alignment_log2 == 0 && claim.size - 1 < contents.fast_limit &&
            &heap.cursors[frequent_class(claim.size)] == cursor);
  };
  if (!take_back<true>(contents, *cursor, slot.index, pointer, fits)) [[unlikely]]
    return allocator.deallocate_slow(heap, pointer, claim);
  allocator.gained_last(heap, cursor->open->chunk);
}

}  // namespace stave
