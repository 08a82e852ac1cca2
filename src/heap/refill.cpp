// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Behind the fast path: where candidates come from when a cursor has none.
#include <algorithm>
#include <bit>
#include <cstring>

#include "heap/fast_path.hpp"
#include "heap/instantiate.hpp"
#include "heap/process.hpp"

namespace stave {

template <class S>
bool Allocator<S>::take_line(ThreadHeap& heap, Chunk* chunk, std::uint32_t few, bool all) {
  if (chunk->available < few) return false;
  const SizeClass cls = chunk->size_class();
  const std::uint32_t most_held = all ? 0 : constants.holds[cls];
  const std::uint32_t lines = (chunk->opened + 63) / 64;
  std::uint32_t best = 0;
  std::uint32_t best_line = 0;
  std::uint32_t free = 0;  // of the best line
  for (std::uint32_t step = 0, at = chunk->cursor; step != lines; ++step, ++at) {
    if (at >= lines) at = 0;
    const SlotLine& line = chunk->lines()[at];
    const std::uint64_t slots = ~line.live.load(std::memory_order_relaxed) & low_bits(chunk->opened - at * 64);
    const std::uint32_t count = count_bits(slots);
    if (count <= best) continue;
    const std::uint32_t offers = count - std::min(count_bits(slots & line.held), most_held);
    if (offers <= best) continue;
    best = offers;
    best_line = at;
    free = count;
    if (best >= few) break;
  }
  if (best < few) return false;
  SlotLine& line = chunk->lines()[best_line];
  const std::uint64_t live = line.live.load(std::memory_order_relaxed);
  const std::uint64_t opened = low_bits(chunk->opened - best_line * 64);
  if (!guard_holds(constants.keys.bitmap, &line, live, line.held) || !marks_fit(&line, live)) {
    die_in_chunk(Fault::corrupt_bitmap, "the words of a bitmap do not fit together", chunk, &line);
  }
  // The slots that stay behind are chosen at random among the held ones: a slot leaves the hold after a number of
  // refills that nobody can predict, and never before its word's candidates were used up.
  std::uint64_t stays = all ? 0 : line.held;
  std::uint32_t staying = count_bits(stays);
  if (staying > most_held) {
    std::uint64_t word = heap.random.take64();
    do {
      // An eighth of them, by rotations of one random word; should these not do, of others that follow from it.
      stays &= word & std::rotr(word, 13) & std::rotr(word, 37);
      word = multiply_fold(word, constants.keys.bitmap.a);
      staying = count_bits(stays);
    } while (staying > most_held);
  }
  const std::uint32_t found = free - staying;
  if (free > chunk->available || found == 0) {
    die_in_chunk(Fault::corrupt_header, "the counts of a chunk are not possible", chunk, &line);
  }
  chunk->available -= free;
  heap.served += found;
  chunk->cursor = static_cast<std::uint16_t>(best_line);
  const ClassShape& shape = constants.shapes[cls];
  Cursor& cursor = heap.cursors[cls];
  cursor = {.line = nullptr,
            .slots = chunk->start() + shape.slots_offset + best_line * 64UL * shape.slot_size,
            .next = nullptr,
            .candidates = opened & ~(live | stays),
            .live = live,
            .seal = chunk->seal,
            .reciprocal = shape.reciprocal,
            .slot_size = shape.slot_size,
            .header_offset = static_cast<std::uint16_t>(address_of(&line) - address_of(chunk)),
            .place = 0};
  // A fork's child that finds the word open finds its copy as well, and either no held bits or a guard word that holds.
  keep_order();
  cursor.line = &line;
  keep_order();
  line.held = 0;
  return true;
}

template <class S>
void Allocator<S>::draw_noise(ThreadHeap& heap) {
  std::size_t left = heap.noise_left;
  for (; left + sizeof(std::uint64_t) <= sizeof heap.noise; left += sizeof(std::uint64_t)) {
    // Without it slots are handed out in their order.
    const std::uint64_t word = constants.options.slot_randomize == 0 ? 0 : heap.random.take64();
    std::memcpy(heap.noise + left, &word, sizeof word);
  }
  heap.noise_left = static_cast<std::uint8_t>(left);
}

template <class S>
void Allocator<S>::open_page(Chunk* chunk) {
  const ClassShape& shape = constants.shapes[chunk->size_class()];
  const std::size_t bytes = std::size_t{chunk->opened} * shape.slot_size;
  auto limit = static_cast<std::uint32_t>(align_up(bytes + 1, constants.page) / shape.slot_size);
  const std::uint32_t few = constants.few[chunk->size_class()];
  if (limit < chunk->opened + few) limit = chunk->opened + few;  // a page of large slots offers no choice
  if (limit > shape.slot_count) limit = shape.slot_count;
  chunk->available += limit - chunk->opened;
  chunk->cursor = static_cast<std::uint16_t>(chunk->opened / 64);
  chunk->opened = limit;
  chunk->short_refills = 0;
}

/// A class that is refilled again and again from few slots gets more of them: a page for every few refills, so that a
/// program that allocates little does not pay with memory, and not beyond what a cache holds.
template <class S>
void Allocator<S>::open_page_if_worn(Chunk* chunk) {
  constexpr std::uint32_t kAmple = 40;
  constexpr std::size_t kAmpleBytes = std::size_t{64} << 10;
  constexpr std::uint8_t kPatience = 8;
  const ClassShape& shape = constants.shapes[chunk->size_class()];
  if (chunk->available >= kAmple || std::size_t{chunk->available} * shape.slot_size >= kAmpleBytes ||
      chunk->opened == shape.slot_count) {
    return;
  }
  if (++chunk->short_refills >= kPatience) open_page(chunk);
}

template <class S>
void Allocator<S>::retire_current(ThreadHeap& heap, SizeClass cls) {
  Chunk* const chunk = heap.classes[cls].current;
  heap.classes[cls].current = nullptr;
  if (chunk != nullptr) place(heap, chunk);
}

template <class S>
bool Allocator<S>::refill(ThreadHeap& heap, SizeClass cls) {
  close_cursor(heap, cls);
  drain_inbox(heap);
  ClassChunks& chunks = heap.classes[cls];
  const ClassShape& shape = constants.shapes[cls];
  const std::uint32_t few = constants.few[cls];
  const auto make_current = [&](Chunk* chunk) {
    retire_current(heap, cls);
    chunk->place = Chunk::Place::current;
    chunk->notify_at = ~std::uint32_t{0};
    chunks.current = chunk;
  };
  for (;;) {
    if (Chunk* const chunk = chunks.current; chunk != nullptr) {
      const RegistryEntry entry = arena.registry.find(address_of(chunk));
      if (!entry.is_chunk() || entry.size_class() != cls || chunk->owner != &heap ||
          !header_holds(constants.keys.header, chunk, entry)) {
        die_in_chunk(Fault::corrupt_header, "the seal of a chunk's header does not verify", chunk, chunk);
      }
      open_page_if_worn(chunk);
      if (take_line(heap, chunk, few)) return true;
      // Only what is opened already is looked at in other chunks, before a page is opened here.
      if (chunks.usable == nullptr || chunks.usable->available < few) {
        while (chunk->opened < shape.slot_count) {
          open_page(chunk);
          if (take_line(heap, chunk, few)) return true;
        }
        if (take_line(heap, chunk, 1)) return true;
      }
    }
    if (Chunk* const next = chunks.usable; next != nullptr) {
      if (next->available == next->opened) --chunks.empty;
      unlink(heap, next);
      make_current(next);
      if (take_line(heap, next, few)) return true;
      while (next->opened < shape.slot_count) {
        open_page(next);
        if (take_line(heap, next, few)) return true;
      }
      if (take_line(heap, next, 1)) return true;
      continue;
    }
    Chunk* fresh = nullptr;
    {
      const ArenaLocked<S> locked(arena, constants);
      fresh = arena.acquire_chunk(cls, &heap);
    }
    if (fresh == nullptr) {
      // What is kept back goes first: empty chunks of orphans, and the address space of freed large blocks.
      const bool drained = drain_orphan();
      const ArenaLocked<S> locked(arena, constants);
      if (large.flush_held() || drained) fresh = arena.acquire_chunk(cls, &heap);
    }
    if (fresh != nullptr) {
      ++chunks.chunks;
      open_page(fresh);
      make_current(fresh);
      continue;
    }
    // Memory is out: the last slots will do, held or not.
    if (chunks.current != nullptr && take_line(heap, chunks.current, 1, true)) return true;
    for (Chunk* chunk = chunks.full; chunk != nullptr;) {
      if (chunk->available != 0) {
        unlink(heap, chunk);
        make_current(chunk);
        return take_line(heap, chunk, 1, true);
      }
      Chunk* const next = chunk->next;
      check_neighbour(heap, chunk, next);
      chunk = next == chunks.full ? nullptr : next;
    }
    return false;
  }
}

template <class S>
void* Allocator<S>::allocate_slow(ThreadHeap& heap, std::size_t requested) {
  if (requested > kLargestSlot) return allocate_large(heap, requested, kGrain);
  return allocate_in_class(heap, size_class_for(requested), requested);
}

template <class S>
void* Allocator<S>::allocate_in_class(ThreadHeap& heap, SizeClass cls, std::size_t requested) {
  ThreadHeap* own = &heap;
  if (heap.is_busy()) {
    own = S::kProcess ? process_heap_slow() : nested_heap(heap);
    if (own == nullptr) return nullptr;
  }
  own->enter();
  void* slot = nullptr;
  Cursor& cursor = own->cursors[cls];
  if (cursor.offered() != 0 || refill(*own, cls)) {
    if (cursor.next == nullptr) {
      draw_noise(*own);  // at every refill: it should not run out on the fast path
      pick_next(*own, cursor);
    }
    slot = hand_out(*own, cursor, requested);
    if (slot == nullptr) die_at_hand_out(cursor);
  }
  own->leave();
  if constexpr (S::kProcess) process_heap_done(own);
  return slot;
}

template <class S>
void* Allocator<S>::allocate_large(ThreadHeap& heap, std::size_t requested, std::size_t alignment) {
  if (requested > static_cast<std::size_t>(PTRDIFF_MAX)) return nullptr;
  if constexpr (S::kProcess) {
    if (!process_is_started()) (void)process_heap_slow();
  }
  if (requested == 0) requested = 1;
  void* block = nullptr;
  {
    const ArenaLocked<S> locked(arena, constants);
    block = large.allocate(requested, alignment);
  }
  if (block == nullptr && !heap.is_busy() && give_back_empty(heap)) {
    const ArenaLocked<S> locked(arena, constants);
    block = large.allocate(requested, alignment);
  }
  if (block != nullptr) sanitizer::mark_live(block, requested, align_up(requested, constants.page));
  return block;
}

template <class S>
void Allocator<S>::close_cursor(ThreadHeap& heap, SizeClass cls) {
  Cursor& cursor = heap.cursors[cls];
  SlotLine* const line = cursor.line;
  if (line == nullptr) return;
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  if (!cursor.holds(live, line->held) || !marks_fit(line, live)) die_at_hand_out(cursor);
  Chunk* const chunk = heap.classes[cls].current;
  const auto first = static_cast<std::uint32_t>(line - chunk->lines()) * 64;
  chunk->available += count_bits(~live & low_bits(chunk->opened - first));
  heap.served -= count_bits(cursor.offered());
  const std::uint64_t held = held_in(heap, chunk, line);
  line->guard = guard_word(constants.keys.bitmap, line, live, held);
  keep_order();
  line->held = held;
  keep_order();
  cursor.line = nullptr;
  keep_order();
  cursor = {};
}

template <class S>
bool Allocator<S>::give_back_empty(ThreadHeap& heap) {
  bool any = false;
  heap.enter();
  drain_inbox(heap);
#if defined(STAVE_MUTANT_release_with_push_pending)
  arena.for_each_chunk([&](Chunk* c) {
    for (std::uint32_t i = 0; c->owner == &heap && i < (c->opened + 63) / 64; ++i) collect_word(heap, c, i);
  });
#endif
  for (SizeClass cls = 0; cls != kClassCount; ++cls) {
    close_cursor(heap, cls);
    ClassChunks& chunks = heap.classes[cls];
    retire_current(heap, cls);
    while (chunks.empty != 0) {
      // Empty chunks stand at the end of the usable ones, or a little before it.
      Chunk* chunk = chunks.usable;
      while (chunk != nullptr && chunk->available != chunk->opened) {
        check_neighbour(heap, chunk, chunk->previous);
        chunk = chunk->previous == chunks.usable ? nullptr : chunk->previous;
      }
      if (chunk == nullptr) {
        die_in_chunk(Fault::corrupt_list, "a count of empty chunks is not true", chunks.usable, &heap);
      }
      --chunks.empty;
      --chunks.chunks;
      unlink(heap, chunk);
      release_chunk(chunk);
      any = true;
    }
  }
  heap.leave();
  return any;
}

/// What was freed into these pages is gone with them: they read as zero when their slots are used again.
template <class S>
bool Allocator<S>::discard_free_pages(Chunk* chunk) {
  const ClassShape& shape = constants.shapes[chunk->size_class()];
  char* const slots = chunk->start() + shape.slots_offset;
  const ArenaLocked<S> locked(arena, constants);
  bool any = false;
  std::size_t free_from = 0;  // the bytes from here to the slot that is looked at are nobody's
  for (std::uint32_t slot = 0; slot <= chunk->opened; ++slot) {
    const bool at_end = slot == chunk->opened;
    if (!at_end && !has_bit(chunk->lines()[slot / 64].live.load(std::memory_order_relaxed), slot % 64)) continue;
    const std::size_t first = align_up(free_from, constants.page);
    const std::size_t last = align_down(std::size_t{slot} * shape.slot_size, constants.page);
    if (first < last) any = arena.pages.discard(slots + first, last - first) || any;
    free_from = (std::size_t{slot} + 1) * shape.slot_size;
  }
  return any;
}

template <class S>
bool Allocator<S>::give_back_all(ThreadHeap& heap) {
  bool any = give_back_empty(heap);
  heap.enter();
  for (ClassChunks& chunks : heap.classes) {
    for (Chunk* const* const list : {&chunks.usable, &chunks.full}) {
      for (Chunk* chunk = *list; chunk != nullptr;) {
        any = discard_free_pages(chunk) || any;
        Chunk* const next = chunk->next;
        check_neighbour(heap, chunk, next);
        chunk = next == *list ? nullptr : next;
      }
    }
  }
  heap.leave();
  return any;
}

#define STAVE_REFILL(S)                                                                \
  template bool Allocator<S>::refill(ThreadHeap&, SizeClass);                          \
  template void* Allocator<S>::allocate_slow(ThreadHeap&, std::size_t);                \
  template void* Allocator<S>::allocate_in_class(ThreadHeap&, SizeClass, std::size_t); \
  template void* Allocator<S>::allocate_large(ThreadHeap&, std::size_t, std::size_t);  \
  template void Allocator<S>::close_cursor(ThreadHeap&, SizeClass);                    \
  template void Allocator<S>::draw_noise(ThreadHeap&);                                 \
  template bool Allocator<S>::give_back_empty(ThreadHeap&);                            \
  template bool Allocator<S>::give_back_all(ThreadHeap&);
STAVE_INSTANTIATE(STAVE_REFILL);

}  // namespace stave
