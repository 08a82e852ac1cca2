// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Small allocations. Straight line; every exit from it is a tail call to an out-of-line function. No lock and no locked
// instruction between here and the return, as long as the thread's own slots last.
#pragma once

#include <atomic>
#include <bit>

#include "base/attributes.hpp"
#include "heap/allocator.hpp"
#include "os/sanitizer.hpp"

namespace stave {

/// The only place where a slot crosses the border to the program.
/// pre: heap is busy, cursor.candidates != 0.
template <class S>
STAVE_FAST void* hand_out(Allocator<S>& allocator, ThreadHeap& heap, Cursor& cursor, std::size_t requested) {
  // Fresh random bits for each pick: rotate, take the first candidate, rotate back.
  const std::uint64_t candidates = cursor.candidates;
  const unsigned turn = heap.random.take6();
  const auto place = (static_cast<unsigned>(std::countr_zero(std::rotr(candidates, static_cast<int>(turn)))) + turn) & 63;
  const std::uint64_t bit = std::uint64_t{1} << place;
  cursor.candidates = candidates & ~bit;
  SlotLine* const line = cursor.line;
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  const std::uint64_t held = line->held;
  const std::uint64_t taken = live | held | line->marked.load(std::memory_order_relaxed) |
                              line->done.load(std::memory_order_relaxed);
  const Key& key = allocator.constants.keys.bitmap;
  if ((taken & bit) != 0 || !guard_holds(key, line, live, held)) [[unlikely]] {
    allocator.die_at_hand_out(line, bit);
  }
  line->live.store(live | bit, std::memory_order_relaxed);
  keep_order();
  line->guard = guard_word(key, line, live | bit, held);
  // The program may pass the pointer on by a relaxed store: whoever then frees it must see its live bit. Pairs with the
  // address dependency from the pointer to remote_free's load. On x86 this keeps the compiler in order, no more.
  std::atomic_thread_fence(std::memory_order_release);
  ++heap.served;
  char* const slot = cursor.slots + place * cursor.slot_size;
  sanitizer::mark_live(slot, requested, cursor.slot_size);
  return slot;
}

/// pre: requested <= kLargestSlot, and cls serves it.
template <class S>
STAVE_FAST void* allocate_in_class(Allocator<S>& allocator, ThreadHeap& heap, SizeClass cls, std::size_t requested) {
  Cursor& cursor = heap.cursors[cls];
  // A thread without a heap has one that is always busy, and so has a signal handler that interrupted its own thread
  // in here: "not initialised", "nested" and "no candidates" are out of line.
  if (heap.is_busy() || cursor.candidates == 0) [[unlikely]] return allocator.allocate_slow(heap, cls, requested);
  heap.enter();
  void* const slot = hand_out(allocator, heap, cursor, requested);
  heap.leave();
  return slot;
}

/// malloc: nullptr if memory is out. Any `requested` is allowed; 0 is served as 1.
template <class S>
STAVE_FAST void* allocate(Allocator<S>& allocator, ThreadHeap& heap, std::size_t requested) {
  if (requested > kLargestSlot) [[unlikely]] return allocator.allocate_large(heap, requested, kGrain);
  return allocate_in_class(allocator, heap, size_class_for(requested), requested);
}

/// What leaves the hold ring is free again: it may be chosen at its chunk's next refill.
/// pre: heap is busy.
template <class S>
STAVE_FAST void leave_ring(Allocator<S>& allocator, ThreadHeap& heap, PackedSlot packed) {
  SlotLine* const line = line_of(packed);
  const std::uint64_t bit = bit_of(packed);
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  const std::uint64_t held = line->held;
  const Key& key = allocator.constants.keys.bitmap;
  Chunk* const chunk = chunk_of(packed);
  if ((held & bit) == 0 || chunk->owner != &heap) [[unlikely]] {
    allocator.die_in_chunk(Fault::corrupt_list, "a hold ring names a slot that is not held", chunk, line);
  }
  if (!guard_holds(key, line, live, held)) [[unlikely]] {
    allocator.die_in_chunk(Fault::corrupt_bitmap, "the guard word of a bitmap does not verify", chunk, line);
  }
  line->held = held & ~bit;
  keep_order();
  line->guard = guard_word(key, line, live, held & ~bit);
  if (++chunk->available >= chunk->notify_at) [[unlikely]] allocator.chunk_gained(heap, chunk);
}

/// A freed slot waits in the ring of its class, in a random place, and pushes out what waited there.
/// pre: heap is busy; the slot's held bit is set.
template <class S>
STAVE_FAST void hold(Allocator<S>& allocator, ThreadHeap& heap, SizeClass cls, PackedSlot packed) {
  PackedSlot* const ring = heap.rings + allocator.constants.ring_offsets[cls];
  PackedSlot& place = ring[heap.random.take6() & allocator.constants.ring_masks[cls]];
  const PackedSlot leaves = place;
  place = packed;
  if (leaves != 0) [[likely]] leave_ring(allocator, heap, leaves);
}

/// The choke point: the only way from a program's pointer to a slot. Dies unless `pointer` is the start of a slot in one
/// of our chunks whose header verifies; the slot's state is not judged. pre: entry is the pointer's and is_chunk().
template <class S>
STAVE_FAST SlotRef resolve(Allocator<S>& allocator, const void* pointer, RegistryEntry entry, Fault freed_fault) {
  const std::uintptr_t address = address_of(pointer);
  const ClassShape& shape = allocator.constants.shapes[entry.size_class()];
  Chunk* const chunk = header_at(address, entry);
  const std::uint64_t seal =
      seal_of(allocator.constants.keys.header, chunk, entry.size_class(), entry.colour(), chunk->owner);
  if (seal != chunk->seal) [[unlikely]] {
    allocator.die_in_chunk(Fault::corrupt_header, "the seal of a chunk's header does not verify", chunk, pointer);
  }
  const std::uintptr_t offset = address - align_down(address_of(chunk), kUnit) - shape.slots_offset;
  if (offset >= shape.slots_bytes) [[unlikely]] allocator.die_of_slot(pointer, freed_fault);
  const SlotIndex slot = slot_index(shape, static_cast<std::uint32_t>(offset));
  if (!slot.exact) [[unlikely]] allocator.die_of_slot(pointer, freed_fault);
  return {chunk, chunk->lines() + slot.index / 64, std::uint64_t{1} << (slot.index & 63), slot.index};
}

/// The other border: a slot comes back from its owner's own thread.
/// pre: heap is busy and owns the slot's chunk.
template <class S>
STAVE_FAST void take_back(Allocator<S>& allocator, ThreadHeap& heap, SizeClass cls, const SlotRef& slot, void* pointer) {
  SlotLine* const line = slot.line;
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  const std::uint64_t held = line->held;
  const Key& key = allocator.constants.keys.bitmap;
  if ((live & ~line->marked.load(std::memory_order_relaxed) & slot.bit) == 0) [[unlikely]] {
    allocator.die_of_slot(pointer, Fault::double_free);
  }
  if (!guard_holds(key, line, live, held)) [[unlikely]] {
    allocator.die_in_chunk(Fault::corrupt_bitmap, "the guard word of a bitmap does not verify", slot.chunk, pointer);
  }
  sanitizer::mark_free(pointer, allocator.constants.shapes[cls].slot_size);
  line->live.store(live & ~slot.bit, std::memory_order_relaxed);
  keep_order();
  line->held = held | slot.bit;
  keep_order();
  line->guard = guard_word(key, line, live & ~slot.bit, held | slot.bit);
  hold(allocator, heap, cls, pack(slot));
}

/// free: any pointer is allowed, and any that is not to be freed dies by name before the call returns.
template <class S>
STAVE_FAST void deallocate(Allocator<S>& allocator, ThreadHeap& heap, void* pointer) {
  const RegistryEntry entry = allocator.arena.registry.find(address_of(pointer));
  if (!entry.is_chunk()) [[unlikely]] return allocator.deallocate_slow(pointer, entry);  // nullptr, large, or a fault
  const SlotRef slot = resolve(allocator, pointer, entry, Fault::double_free);
  if (slot.chunk->owner != &heap || heap.is_busy()) [[unlikely]] return allocator.remote_free(slot, pointer);
  heap.enter();
  take_back(allocator, heap, entry.size_class(), slot, pointer);
  heap.leave();
}

}  // namespace stave
