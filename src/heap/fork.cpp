// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the child of a fork finds, and how it is made whole.
//
// The child has one thread. Its own heap is whole, but for frees by threads that are gone. The heap of any other thread
// was snapped anywhere in its program order, since owners take no lock: lists and counts may be torn, one word may be
// half changed. Bitmaps, seals and the registry (which changes under the arena's lock only, and fork holds that) tell
// what is true. Such a heap is swept once, under the arena's lock, before anybody in the child uses it: a thread that
// adopts it or frees into it. That nobody in the child has begun a free there before is what tells a lost freer's mark
// from a new one.
#include <bit>

#include "heap/fast_path.hpp"
#include "heap/instantiate.hpp"
#include "os/sanitizer.hpp"

namespace stave {

/// Finishes what was half done in one word. \return how many slots are live in it now.
///
/// Half-done states, in the order in which the owner writes (keep_order). In an open chunk the copy of live lags
/// behind: by one bit (hand-out, local free), or by the bits of `done` that were being collected; held is 0, or the
/// guard word holds (just opened, or about to be closed). In a closed chunk: live clear, then held set, the guard word
/// behind (local free; collecting). Then done clear, marked set. A freer: marked without done; done without a signal.
template <class S>
std::uint32_t Allocator<S>::repair_word(const ThreadHeap& heap, SizeClass cls, Chunk* chunk, SlotLine* line) {
  const Key& key = constants.keys.bitmap;
  std::uint64_t live = line->live.load(std::memory_order_relaxed);
  const std::uint64_t held = line->held;
  const std::uint64_t marked = line->marked.load(std::memory_order_relaxed);
  const std::uint64_t done = line->done.load(std::memory_order_relaxed);
  const std::uint64_t collecting = done & ~live;
  std::uint64_t unknown = 0;  // an open chunk's heap knows which slots are held, and may be torn: all of them are then
  bool known = false;
  if (const OpenWord* const open = open_word(heap, cls, chunk, line)) {
    unknown = opened_in(chunk, line);
    const std::uint64_t set = live & ~open->live;
    const std::uint64_t freed = open->live & ~live;
    const bool handing_out = freed == 0 && count_bits(set) <= 1;
    const bool taking_back = set == 0 && (count_bits(freed) <= 1 || (freed & ~collecting) == 0);
    known = (handing_out || taking_back) && (held == 0 || guard_holds(key, line, live, held));
  } else {
    known = guard_holds(key, line, live, held) || guard_holds(key, line, live | collecting, held) ||
            guard_holds(key, line, live | collecting, held & ~collecting) ||
            guard_holds(key, line, live & ~marked, (held | marked) & ~(live & ~marked));
    for (std::uint64_t bit = 1; bit != 0 && !known; bit <<= 1) {
      if ((live & bit) != 0) continue;  // only what is not live can be half freed
      known = guard_holds(key, line, live | bit, held) || guard_holds(key, line, live | bit, held & ~bit);
    }
  }
  if (!known || (done & ~marked) != 0 || (live & held & ~marked) != 0) {
    die_in_chunk(Fault::corrupt_bitmap, "a bitmap is further from its guard word than a fork can tear it", chunk, line);
  }
  clear_slots(chunk, line, live & marked);
  live &= ~marked;  // a free that had begun is finished: its freer is gone, or it waited to be collected
  const std::uint64_t held_now = (held | marked | unknown) & ~live;
  // The guard word first: then a fork amid this leaves a word that the line above knows.
  line->guard = guard_word(key, line, live, held_now);
  keep_order();
  line->live.store(live, std::memory_order_relaxed);
  keep_order();
  line->held = held_now;
  keep_order();
  line->done.store(0, std::memory_order_relaxed);
  keep_order();
  line->marked.store(0, std::memory_order_relaxed);
  return count_bits(live);
}

template <class S>
void Allocator<S>::sweep_torn_heap(ThreadHeap& heap) {
  const std::uint32_t now = generation.load(std::memory_order_relaxed);
  if (heap.generation.load(std::memory_order_relaxed) == now) return;
  for (ClassChunks& chunks : heap.classes) {
    chunks.usable = chunks.full = nullptr;
    chunks.chunks = chunks.empty = 0;
  }
  heap.inbox.store(nullptr, std::memory_order_relaxed);
  heap.nested.store(nullptr, std::memory_order_relaxed);  // in the table by itself, as is what it had borrowed
  heap.borrowed.store(nullptr, std::memory_order_relaxed);
  arena.for_each_chunk([&](Chunk* chunk) {
    if (chunk->owner != &heap) return;
    const SizeClass cls = sealed_entry(heap, chunk).size_class();
    const ClassShape& shape = constants.shapes[cls];
    std::uint32_t live = 0;
    for (std::size_t i = 0; i != shape.line_count(); ++i) live += repair_word(heap, cls, chunk, chunk->lines() + i);
    chunk->pending.store(0, std::memory_order_relaxed);
    chunk->visited.store(0, std::memory_order_relaxed);
    if (chunk->opened > shape.slot_count || chunk->opened < live) chunk->opened = shape.slot_count;
    chunk->set_available(chunk->opened - live);
    chunk->cursor = 0;
    ++heap.classes[cls].chunks;
    file_chunk(heap, chunk);
  });
  // What is written here in a loop a compiler may write by memset, which sanitizers watch.
  sanitizer::zero_own(&heap.cursors, sizeof heap.cursors);
  for (const ClassChunks& chunks : heap.classes) {
    for (std::uint32_t i = 0; i != chunks.record_count; ++i) chunks.records[i]->let_go();
  }
  heap.leave();
  // Release: whoever sees the new generation without the lock sees the heap repaired.
  heap.generation.store(now, std::memory_order_release);
}

template <class S>
void Allocator<S>::sweep_if_torn(ThreadHeap& heap) {
  const ArenaLocked<S> locked(arena, constants);
  if (heap.generation.load(std::memory_order_relaxed) == generation.load(std::memory_order_relaxed)) return;
  sweep_torn_heap(heap);
  if (!heap.orphan) link_orphan(heap);
}

template <class S>
void Allocator<S>::fork_child(ThreadHeap* survivor) {
  arena.lock.reset_in_child();
  const std::uint32_t now = generation.load(std::memory_order_relaxed) + 1;
  generation.store(now, std::memory_order_relaxed);
  unswept = heaps;
  const bool repair = remote_seen.exchange(false, std::memory_order_relaxed);
  const auto settle = [&](ThreadHeap* heap) {
    heap->generation.store(now, std::memory_order_relaxed);
    heap->random.start(random.take_seed(), heap->index);
    // fork in a signal handler amid malloc: the interrupted call goes on in the child, on words it has already read.
    // What lost freers left behind then stays live.
    if (heap->is_busy()) return;
    heap->enter();
    pick_afresh(*heap);
    if (!repair) {
      heap->leave();
      return;
    }
    heap->inbox.store(nullptr, std::memory_order_relaxed);
    arena.for_each_chunk([&](Chunk* chunk) {
      if (chunk->owner != heap || chunk->visited.exchange(0, std::memory_order_relaxed) == 0) return;
      const ClassShape& shape = constants.shapes[chunk->size_class()];
      chunk->pending.store(0, std::memory_order_relaxed);
      std::uint32_t slots = 0;
      for (std::size_t i = 0; i != shape.line_count(); ++i) {
        SlotLine* const line = chunk->lines() + i;
        const std::uint64_t live = line->live.load(std::memory_order_relaxed);
        const std::uint64_t marked = line->marked.load(std::memory_order_relaxed);
        if (marked == 0 && line->done.load(std::memory_order_relaxed) == 0) continue;
        OpenWord* const open = open_word(*heap, chunk->size_class(), chunk, line);
        if ((marked & ~live) != 0 || !free_in_word(chunk, open, line, live, line->held, marked)) {
          die_in_chunk(Fault::corrupt_bitmap, "the words of a bitmap do not fit together", chunk, line);
        }
        slots += count_bits(marked);
        line->done.store(0, std::memory_order_relaxed);
        line->marked.store(0, std::memory_order_relaxed);
      }
      gained(*heap, chunk, slots);
    });
    heap->leave();
  };
  for (ThreadHeap* heap = survivor; heap != nullptr; heap = heap->nested.load(std::memory_order_relaxed)) {
    settle(heap);
    if (ThreadHeap* const borrowed = heap->borrowed.load(std::memory_order_relaxed)) settle(borrowed);
  }
}

/// The parent goes on with the order that it has drawn: the child draws another.
template <class S>
void Allocator<S>::pick_afresh(ThreadHeap& heap) {
  heap.noise_left = 0;
  draw_noise(heap);
  for (Cursor& cursor : heap.cursors) {
    if (cursor.line == nullptr) continue;
    cursor.candidates = cursor.offered();
    pick_next(heap, cursor);
  }
}

#define STAVE_FORK(S)                                       \
  template void Allocator<S>::sweep_torn_heap(ThreadHeap&); \
  template void Allocator<S>::sweep_if_torn(ThreadHeap&);   \
  template void Allocator<S>::fork_child(ThreadHeap*);
STAVE_INSTANTIATE(STAVE_FORK);

}  // namespace stave
