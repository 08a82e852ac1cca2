// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Small allocations. Straight line; whatever is not ordinary leaves it for an out-of-line function that starts again.
// No lock and no locked instruction between here and the return.
#pragma once

#include <atomic>
#include <bit>

#include "base/attributes.hpp"
#include "heap/allocator.hpp"
#include "os/sanitizer.hpp"

namespace stave {

/// The only place where a slot crosses the border to the program.
/// pre: heap is busy, cursor.candidates != 0, heap.random.has_bits().
template <class S>
STAVE_FAST void* hand_out(Allocator<S>& allocator, ThreadHeap& heap, Cursor& cursor, std::size_t requested) {
  // Fresh random bits for each pick: rotate, take the first candidate, rotate back.
  const std::uint64_t candidates = cursor.candidates;
  const unsigned turn = heap.random.take6();
  const auto first = static_cast<unsigned>(__builtin_ctzll(std::rotr(candidates, static_cast<int>(turn))));
  const unsigned place = (first + turn) & 63;
  const std::uint64_t bit = std::uint64_t{1} << place;
  cursor.candidates = candidates & ~bit;
  SlotLine* const line = cursor.line;
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  if (!cursor.holds(live, line->held)) [[unlikely]]
    allocator.die_at_hand_out(cursor);
  const std::uint64_t taken =
      live | line->held | line->marked.load(std::memory_order_relaxed) | line->done.load(std::memory_order_relaxed);
  if ((taken & bit) != 0) [[unlikely]]
    allocator.die_at_hand_out(cursor);
  line->live.store(live | bit, std::memory_order_relaxed);
  keep_order();
  cursor.live = live | bit;
  // The program may pass the pointer on by a relaxed store: whoever then frees it must see its live bit. Pairs with the
  // address dependency from the pointer to remote_free's load. On x86 this keeps the compiler in order, no more.
  std::atomic_thread_fence(std::memory_order_release);
  ++heap.served;
  char* const slot = cursor.slots + place * std::size_t{cursor.slot_size};
  sanitizer::mark_live(slot, requested, cursor.slot_size);
  if (slot == nullptr) __builtin_unreachable();  // spares the caller a test
  return slot;
}

/// nullptr: not on this path; nothing was changed. pre: slots of cls have at least `requested` bytes.
template <class S>
STAVE_FAST void* allocate_in_class_fast(Allocator<S>& allocator, ThreadHeap& heap, SizeClass cls,
                                        std::size_t requested) {
  Cursor& cursor = heap.cursors[cls];
  // A thread without a heap has one that is always busy, and so has a signal handler that interrupted its own thread
  // in here: "not initialised" and "nested" are one branch.
  if (heap.is_busy() || cursor.candidates == 0 || !heap.random.has_bits()) [[unlikely]]
    return nullptr;
  heap.enter();
  void* const slot = hand_out(allocator, heap, cursor, requested);
  heap.leave();
  return slot;
}

/// malloc's fast path; nullptr: not on it. Any `requested` is allowed; 0 is served as 1.
template <class S>
STAVE_FAST void* allocate_fast(Allocator<S>& allocator, ThreadHeap& heap, std::size_t requested) {
  if (requested > kLargestSlot) [[unlikely]]
    return nullptr;
  return allocate_in_class_fast(allocator, heap, size_class_for(requested), requested);
}

/// malloc: nullptr if memory is out.
template <class S>
STAVE_FAST void* allocate(Allocator<S>& allocator, ThreadHeap& heap, std::size_t requested) {
  if (void* const slot = allocate_fast(allocator, heap, requested)) [[likely]]
    return slot;
  return allocator.allocate_slow(heap, requested);
}

/// Where a slot lies, of which only the registry and arithmetic speak so far.
struct SlotPlace {
  Chunk* chunk;
  std::uint32_t index;

  [[nodiscard]] STAVE_FAST SlotLine* line() const { return chunk->lines() + index / 64; }
  [[nodiscard]] STAVE_FAST std::uint64_t bit() const { return std::uint64_t{1} << (index & 63); }
};

/// The choke point: the only way from a program's pointer to a slot. Dies unless `pointer` is the start of a slot in a
/// chunk of ours. Reads nothing of the chunk: its header is not verified yet. pre: entry is the pointer's and
/// is_chunk().
template <class S>
STAVE_FAST SlotPlace resolve(Allocator<S>& allocator, const void* pointer, RegistryEntry entry, Fault freed_fault) {
  const std::uintptr_t address = address_of(pointer);
  const ClassShape& shape = allocator.constants.shapes[entry.size_class()];
  Chunk* const chunk = header_at(address, entry);
  const std::uintptr_t offset = address - align_down(address_of(chunk), kUnit) - shape.slots_offset;
  if (offset >= shape.slots_bytes) [[unlikely]]
    allocator.die_of_slot(pointer, freed_fault);
  const SlotIndex slot = slot_index(shape, static_cast<std::uint32_t>(offset));
  if (!slot.exact) [[unlikely]]
    allocator.die_of_slot(pointer, freed_fault);
  return {chunk, slot.index};
}

/// Every read of a header begins here.
template <class S>
STAVE_FAST void check_seal(Allocator<S>& allocator, const Chunk* chunk, RegistryEntry entry, const void* pointer) {
  if (!header_holds(allocator.constants.keys.header, chunk, entry)) [[unlikely]] {
    allocator.die_in_chunk(Fault::corrupt_header, "the seal of a chunk's header does not verify", chunk, pointer);
  }
}

/// The other border, for a slot of an open word: it comes back on its owner's own thread. From now on it is held; the
/// next refill of its word decides whether it may be chosen again. pre: heap is busy.
template <class S>
STAVE_FAST void take_back(Allocator<S>& allocator, Cursor& cursor, const SlotPlace& slot, void* pointer) {
  SlotLine* const line = cursor.line;
  const std::uint64_t bit = slot.bit();
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  const std::uint64_t held = line->held;
  if ((live & bit) == 0 || (line->marked.load(std::memory_order_relaxed) & bit) != 0) [[unlikely]] {
    allocator.die_of_slot(pointer, Fault::double_free);
  }
  if (!cursor.holds(live, held)) [[unlikely]]
    allocator.die_at_hand_out(cursor);
  sanitizer::mark_free(pointer, cursor.slot_size);
  line->live.store(live ^ bit, std::memory_order_relaxed);
  keep_order();
  line->held = held | bit;
  keep_order();
  cursor.live = live ^ bit;
  cursor.held = held | bit;
  ++slot.chunk->available;  // the current chunk is nobody's to notify
}

/// free: any pointer is allowed, and any that is not to be freed dies by name before the call returns.
template <class S>
STAVE_FAST void deallocate(Allocator<S>& allocator, ThreadHeap& heap, void* pointer) {
  const RegistryEntry entry = allocator.arena.registry.find(address_of(pointer));
  if (!entry.is_chunk()) [[unlikely]]
    return allocator.deallocate_slow(pointer, entry);  // nullptr, large, or a fault
  const SlotPlace slot = resolve(allocator, pointer, entry, Fault::double_free);
  Cursor& cursor = heap.cursors[entry.size_class()];
  if (slot.line() != cursor.line || heap.is_busy()) {
    return allocator.deallocate_elsewhere(heap, pointer, entry, slot.index);
  }
  if (slot.chunk->owner != &heap || slot.chunk->seal != cursor.seal) [[unlikely]] {
    allocator.die_in_chunk(Fault::corrupt_header, "the seal of a chunk's header does not verify", slot.chunk, pointer);
  }
  heap.enter();
  take_back(allocator, cursor, slot, pointer);
  heap.leave();
}

}  // namespace stave
