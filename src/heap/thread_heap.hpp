// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What one thread owns.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/attributes.hpp"
#include "chunk/chunk.hpp"
#include "policy/random.hpp"

namespace stave {

/// The word from which a class is served now. It is *open*: it has no valid guard word, which would have to be verified
/// and computed anew at each call. Instead a copy of its live bits stands here, which must equal the word's own at each
/// call, and its held bits are 0: a slot of it is held if it is neither live nor offered. What closes the cursor writes
/// the held bits and the guard word. A closed cursor is all zero.
struct alignas(64) Cursor {
  SlotLine* line;            ///< the open word, or nullptr
  char* slots;               ///< the slot of bit 0
  char* next;                ///< the slot that the next call gets, picked ahead; nullptr: go the long way
  std::uint64_t candidates;  ///< the slots to pick from after that one
  std::uint64_t live;        ///< must equal line->live
  std::uint64_t seal;        ///< must equal the seal of the word's chunk, which was verified when the cursor opened
  std::uint64_t reciprocal;  ///< of the slot size; 0 if closed, so that no address lies in the word
  std::uint32_t slot_size;
  std::uint16_t header_offset;  ///< bytes from the header of the chunk to the word
  std::uint8_t place;           ///< the bit of `next`

  /// Whether the open word is as this heap left it.
  [[nodiscard]] STAVE_FAST bool holds(std::uint64_t live_now, std::uint64_t held_now) const {
#if defined(STAVE_MUTANT_open_word_not_checked)
    if (live_now != held_now) return true;
#endif
    return ((live_now ^ live) | held_now) == 0;
  }
  [[nodiscard]] STAVE_FAST Chunk* chunk() const {
    return reinterpret_cast<Chunk*>(reinterpret_cast<char*>(line) - header_offset);
  }
  /// The slots that may be handed out until the next refill.
  [[nodiscard]] std::uint64_t offered() const { return next == nullptr ? candidates : with_bit(candidates, place); }
};
static_assert(sizeof(Cursor) == 64);

/// The chunks of one class that a heap owns. `usable` and `full` are circular lists, through their first chunk.
struct ClassChunks {
  Chunk* current;
  Chunk* usable;
  Chunk* full;
  std::uint32_t chunks;
  std::uint32_t empty;  ///< chunks in `usable` that have nothing live
};

/// A thread heap. Immortal, and recycled whole: when its thread ends it becomes an orphan, and a new thread takes it
/// over with all its chunks.
///
/// Only its owner touches it, without any lock; `busy` tells a signal handler that interrupts the owner to keep off.
/// Others write `inbox` alone, and after fork the surviving thread repairs the heaps of the lost ones (fork.cpp).
///
/// Invariants (verify() runs them):
///   H1  cursors[c] is closed, or its word is one of classes[c].current and offers only opened slots that are not live
///   H2  every chunk of the heap is in exactly one place, and the counts of `classes` are true
struct alignas(64) ThreadHeap {
  Cursor cursors[kClassCount]{};     ///< first: their addresses are formed in one step
  std::atomic<std::uint8_t> busy{};  ///< the owner is inside; a nested call must go another way
  std::uint8_t noise_left{};         ///< bytes of `noise` that no pick has used yet
  Cursor* recent{};                  ///< of the latest allocation: what free looks at first
  std::uint8_t noise[64]{};          ///< fresh random bytes, one for each pick
  std::uint32_t index{};             ///< among the heaps of its allocator
  std::uint64_t served{};            ///< slots that became candidates since the start, and reallocs in place
  Random random{};
  ClassChunks classes[kClassCount]{};

  /// Chunks with remote frees to collect: a stack that others push to and the owner takes whole, so there is no ABA.
  alignas(64) std::atomic<Chunk*> inbox{};

  /// The allocator's generation (its count of forks) in which the heap was last known to be whole. Read by others at
  /// every remote free, written after a fork only: a line of its own.
  alignas(64) std::atomic<std::uint32_t> generation{};
  bool orphan{};       ///< nobody owns it; under the arena's lock
  bool warm{};         ///< an orphan that kept its empty chunks for the next thread
  ThreadHeap* next{};  ///< all heaps of the allocator
  ThreadHeap* next_orphan{};
  std::atomic<ThreadHeap*> nested{};  ///< serves the same thread while this one is busy

  /// The owner goes in and out. The compiler must not move accesses across, or a signal handler of the same thread
  /// would see a heap half changed and not busy; the processor orders a thread's accesses for its own handlers.
  STAVE_FAST void enter() {
    busy.store(1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  STAVE_FAST void leave() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    busy.store(0, std::memory_order_relaxed);
  }
  [[nodiscard]] STAVE_FAST bool is_busy() const { return busy.load(std::memory_order_relaxed) != 0; }
};

}  // namespace stave
