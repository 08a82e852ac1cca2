// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Small allocations. Straight line; whatever is not as it should be leaves it for an out-of-line function that starts
// again, does what is rare and dies of what is wrong. No lock and no locked instruction between here and the return.
#pragma once

#include <atomic>
#include <bit>

#include "base/attributes.hpp"
#include "heap/allocator.hpp"
#include "os/sanitizer.hpp"

namespace stave {

/// The only place where a slot crosses the border to the program.
/// \return nullptr: the word is not as its heap left it, or the picked slot is in use; nothing was changed.
/// pre: heap is busy, cursor.candidates != 0, heap.random.has_bits().
STAVE_FAST void* hand_out(ThreadHeap& heap, Cursor& cursor, [[maybe_unused]] std::size_t requested) {
  // Fresh random bits for each pick: rotate, take the first candidate, rotate back.
  const std::uint64_t candidates = cursor.candidates;
  const unsigned turn = heap.random.take6();
  const auto first = static_cast<unsigned>(__builtin_ctzll(std::rotr(candidates, static_cast<int>(turn))));
  const unsigned place = (first + turn) & 63;
  const std::uint64_t bit = std::uint64_t{1} << place;
  SlotLine* const line = cursor.line;
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  if (!cursor.holds(live, line->held)) [[unlikely]]
    return nullptr;
#if !defined(STAVE_MUTANT_overlapping_hand_out)
  const std::uint64_t taken =
      live | line->held | line->marked.load(std::memory_order_relaxed) | line->done.load(std::memory_order_relaxed);
  if ((taken & bit) != 0) [[unlikely]]
    return nullptr;
  cursor.candidates = candidates & ~bit;
#endif
  line->live.store(live | bit, std::memory_order_relaxed);
  keep_order();
  cursor.live = live | bit;
  // The program may pass the pointer on by a relaxed store: whoever then frees it must see its live bit. Pairs with the
  // address dependency from the pointer to remote_free's load. On x86 this keeps the compiler in order, no more.
  std::atomic_thread_fence(std::memory_order_release);
  char* const slot = cursor.slots + place * std::size_t{cursor.slot_size};
  sanitizer::mark_live(slot, requested, cursor.slot_size);
  if (slot == nullptr) __builtin_unreachable();  // spares the caller a test
  return slot;
}

/// nullptr: not on this path. pre: slots of cls have at least `requested` bytes.
STAVE_FAST void* allocate_in_class_fast(ThreadHeap& heap, SizeClass cls, std::size_t requested) {
  Cursor& cursor = heap.cursors[cls];
  // A thread without a heap has one that is always busy, and so has a signal handler that interrupted its own thread
  // in here: "not initialised" and "nested" are one branch.
  if (heap.is_busy() || cursor.candidates == 0 || !heap.random.has_bits()) [[unlikely]]
    return nullptr;
  heap.enter();
  void* const slot = hand_out(heap, cursor, requested);
  heap.leave();
  return slot;
}

/// malloc's fast path; nullptr: not on it. Any `requested` is allowed; 0 is served as 1.
STAVE_FAST void* allocate_fast(ThreadHeap& heap, std::size_t requested) {
  if (requested > kLargestSlot) [[unlikely]]
    return nullptr;
  return allocate_in_class_fast(heap, size_class_for(requested), requested);
}

/// malloc: nullptr if memory is out.
template <class S>
STAVE_FAST void* allocate(Allocator<S>& allocator, ThreadHeap& heap, std::size_t requested) {
  if (void* const slot = allocate_fast(heap, requested)) [[likely]]
    return slot;
  return allocator.allocate_slow(heap, requested);
}

/// The other border, for a slot of an open word: it comes back on its owner's own thread. From now on it is held; the
/// next refill of its word decides whether it may be chosen again. \return false: not on this path; nothing was
/// changed. pre: cursor is of the class that the registry names for the pointer.
STAVE_FAST bool take_back(ThreadHeap& heap, Cursor& cursor, void* pointer) {
  // As slot_index does it, from the first slot of the open word.
  const Uint128 product = static_cast<Uint128>(address_of(pointer) - address_of(cursor.slots)) * cursor.reciprocal;
  const auto index = static_cast<std::uint64_t>(product >> 64);
  if (index > 63 || static_cast<std::uint64_t>(product) >= cursor.reciprocal || heap.is_busy()) return false;
  const Chunk* const chunk = cursor.chunk();
  if (chunk->owner != &heap || chunk->seal != cursor.seal) [[unlikely]]
    return false;
  heap.enter();
  SlotLine* const line = cursor.line;
  const std::uint64_t bit = std::uint64_t{1} << index;
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  const std::uint64_t held = line->held;
  const bool free_it =
      (live & bit) != 0 && (line->marked.load(std::memory_order_relaxed) & bit) == 0 && cursor.holds(live, held);
  if (free_it) [[likely]] {
    sanitizer::mark_free(pointer, cursor.slot_size);
    line->live.store(live & ~bit, std::memory_order_relaxed);
    keep_order();
    line->held = held | bit;
    keep_order();
    cursor.live = live & ~bit;
    cursor.held = held | bit;
  }
  heap.leave();
  return free_it;
}

/// free: any pointer is allowed, and any that is not to be freed dies by name before the call returns.
template <class S>
STAVE_FAST void deallocate(Allocator<S>& allocator, ThreadHeap& heap, void* pointer) {
  const RegistryEntry entry = allocator.arena.registry.find(address_of(pointer));
  if (!entry.is_chunk()) [[unlikely]]
    return allocator.deallocate_slow(pointer, entry);  // nullptr, large, or a fault
  if (take_back(heap, heap.cursors[entry.size_class()], pointer)) return;
  allocator.deallocate_in_chunk(heap, pointer, entry);
}

}  // namespace stave
