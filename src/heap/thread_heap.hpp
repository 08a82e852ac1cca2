// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What one thread owns.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/mutant.hpp"
#include "chunk/chunk.hpp"
#include "chunk/constants.hpp"
#include "policy/random.hpp"

namespace stave {

/// What a heap knows of a word of an open chunk.
struct OpenWord {
  std::uint64_t live;   ///< must equal line->live
  std::uint64_t fresh;  ///< slots that a refill may choose: free, and not held

  /// Whether the word is as its heap left it.
  [[nodiscard]] STAVE_FAST bool holds(std::uint64_t live_now, std::uint64_t held_now) const {
    if (STAVE_MUTANT(open_word_not_checked) && live_now != held_now) return true;
    return ((live_now ^ live) | held_now) == 0;
  }
};

/// All that is sealed of a header, in one word. Of an open chunk it is compared with what it was when the header
/// verified. Nothing else of it is used then, so a change of two fields that the sum does not show changes nothing.
STAVE_FAST std::uint64_t header_sum(const Chunk* chunk) {
  if (STAVE_MUTANT(header_sum_not_checked)) return 0;
  return address_of(chunk->owner) ^ chunk->seal ^ chunk->identity.bits;
}

/// What a heap knows of one of its chunks that is *open*: a record in the heap, far from the chunk. The words of an
/// open chunk have no valid guard word, which would have to be verified and computed anew at each call. Instead each
/// must equal its copy here at each call, and its held bits are 0: a slot is held if it is neither live nor fresh nor
/// offered by the cursor. Closing the chunk writes the held bits and the guard words.
///
/// A chunk is opened when it becomes current, and stays open until it goes or its record is needed for another one.
struct alignas(16) OpenChunk {
  char* first_slot;
  std::uint64_t reciprocal;   ///< of the slot size
  Chunk* chunk;               ///< nullptr: the record is free
  std::uint64_t header;       ///< what header_sum(chunk) must be
  std::uint32_t slots_bytes;  ///< of the chunk; 0 if the record is free, so that no address lies in it
  std::uint32_t slot_size;    ///< what of it has memory: all, or nothing
  std::uint16_t* notes;       ///< on slot 0

  /// Of all lines that a chunk of the class has: they follow the record.
  [[nodiscard]] STAVE_FAST OpenWord* words() { return reinterpret_cast<OpenWord*>(this + 1); }

  void let_go() {
    chunk = nullptr;
    slots_bytes = 0;
  }
};

/// From where a class is served now: a word of the *current* chunk of the class, which is open.
struct alignas(64) Cursor {
  char* next;                ///< the slot that the next call gets, picked ahead; nullptr: go the long way
  std::uint64_t candidates;  ///< the slots of `line` to pick from after that one
  SlotLine* line;            ///< the word that serves, or nullptr
  OpenWord* word;            ///< of the same
  char* slots;               ///< the slot of its bit 0
  OpenChunk* open;           ///< the current chunk's record, or nullptr: no chunk is current
  std::uint64_t reciprocal;  ///< of the slot size; 0 if no word serves, so that no address lies in it
  std::uint32_t slot_size;
  std::uint8_t place;   ///< the bit of `next`
  std::uint8_t opened;  ///< slots of the word that are opened

  /// The slots that may be handed out until the next refill.
  [[nodiscard]] std::uint64_t offered() const { return next == nullptr ? candidates : with_bit(candidates, place); }
};
static_assert(sizeof(Cursor) == 64);

/// The chunks of one class that a heap owns beside the current one. `usable` and `full` are circular lists, through
/// their first chunk.
struct ClassChunks {
  /// So many chunks of a class are open at most.
  static constexpr std::uint32_t kMostOpen = 32;

  Chunk* usable;
  Chunk* full;
  std::uint32_t chunks;        ///< the current one included
  std::uint32_t empty;         ///< chunks in `usable` that have nothing live
  std::uint16_t record_count;  ///< records that there are, each with room for a chunk of this class
  std::uint16_t record_turn;   ///< the record that is taken next if none is free
  OpenChunk** records;         ///< room for kMostOpen once there is one; Chunk::record tells which
};

/// A thread heap. Immortal, and recycled whole: when its thread ends it becomes an orphan, and a new thread takes it
/// over with all its chunks.
///
/// A heap costs a chunk, and two pages at least, for each class that it serves. Where threads are many, the first few
/// allocations of each class come from a *shared* heap instead, which the thread owns for that one call.
///
/// Only its owner touches it, without any lock; `busy` tells a signal handler that interrupts the owner to keep off.
/// Others write `inbox` alone, and after fork the surviving thread repairs the heaps of the lost ones (fork.cpp).
///
/// Invariants (verify() runs them):
///   H1  a cursor's word is one of its chunk's; what it offers and what is fresh are opened slots that are not live
///   H2  every chunk of the heap is in exactly one place, and the counts of `classes` are true
///   H3  the record of an open chunk says what its header and its class say, and the chunk names the record
struct ThreadHeap {
  Cursor cursors[kClassCount]{};  ///< first: their addresses are formed in one step
  ClassChunks classes[kClassCount]{};

  // What each call stores. A processor takes a load for one of the bytes that an earlier store has just written if the
  // low 12 bits of their addresses are the same, and waits for it. So this lies where in its page only cursors of sizes
  // lie that the fast path does not serve (a heap begins at a page), and so does detail::kClassTable.
  alignas(1024) std::uint8_t busy{};  ///< the owner is inside; a nested call must go another way
  std::uint8_t noise_left{};          ///< bytes of `noise` that no pick has used yet
  Cursor* recent{};                   ///< of the latest allocation: where free looks first
  std::uint8_t noise[128]{};          ///< fresh random bytes, one for each pick

  std::uint32_t index{};   ///< among the heaps of its allocator
  std::uint64_t served{};  ///< slots that became candidates since the start, and reallocs in place
  Random random{};

  std::uint64_t sample_at{};  ///< what `served` must reach for the next guarded sample
  bool samples{};             ///< its generator was started
  Random sample_random{};     ///< what the option sample_seed repeats

  /// The record of an open chunk that was freed into lately, by the low bits of the unit's number: where free looks
  /// next. A hint, since units share places: the record says itself which addresses are its chunk's.
  static constexpr std::size_t kNearby = 512;
  OpenChunk* nearby[kNearby]{};
  OpenChunk nothing{};  ///< where `nearby` leads at first

  /// Chunks with remote frees to collect: a stack that others push to and the owner takes whole, so there is no ABA.
  alignas(64) std::atomic<Chunk*> inbox{};

  /// The allocator's generation (its count of forks) in which the heap was last known to be whole. Read by others at
  /// every remote free, written after a fork only: a line of its own.
  alignas(64) std::atomic<std::uint32_t> generation{};
  SizeClass donor{};      ///< the class that gave an empty chunk for the growth of another one
  std::uint32_t trims{};  ///< the allocator's count when this heap last gave back what it could
  bool orphan{};          ///< nobody owns it; under the arena's lock
  bool warm{};            ///< an orphan that kept its empty chunks for the next thread
  bool shared{};          ///< an orphan that threads borrow for one allocation at a time
  ThreadHeap* next{};     ///< all heaps of the allocator
  ThreadHeap* next_orphan{};
  std::atomic<ThreadHeap*> nested{};    ///< serves the same thread while this one is busy
  std::atomic<ThreadHeap*> borrowed{};  ///< serves the call that this one is busy with
  std::uint8_t lent[kClassCount]{};     ///< of each class: allocations that shared heaps served

  STAVE_FAST OpenChunk*& nearby_of(const void* pointer) { return nearby[address_of(pointer) / kUnit % kNearby]; }

  /// The owner goes in and out. The compiler must not move accesses across, or a signal handler of the same thread
  /// would see a heap half changed and not busy; the processor orders a thread's accesses for its own handlers. Between
  /// these fences a plain byte does, which one instruction compares.
  STAVE_FAST void enter() {
    busy = 1;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  STAVE_FAST void leave() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    busy = 0;
  }
  [[nodiscard]] STAVE_FAST bool is_busy() const { return busy != 0; }
};

/// What a thread has that has no heap yet: one that is always busy. In read-only memory: nobody can be made to believe
/// that it is free to use.
extern const ThreadHeap g_no_heap;

/// The part of a page, as of a heap, from which no request's cursor is served on the fast path.
inline constexpr std::size_t kAloof = (size_class_for(kFrequentSize) + 1) * sizeof(Cursor);
static_assert(offsetof(ThreadHeap, cursors) == 0 && offsetof(ThreadHeap, busy) % 4096 >= kAloof &&
              offsetof(detail::PlacedClassTable, of_grains) >= kAloof &&
              offsetof(Constants, contents) % 4096 >= kAloof &&
              (offsetof(ThreadHeap, busy) - offsetof(Constants, contents)) % 4096 >= 64);

}  // namespace stave
