// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Behind the fast path: where candidates come from when a cursor has none.
#include <algorithm>
#include <bit>
#include <cstring>

#include "base/mutant.hpp"
#include "heap/fast_path.hpp"
#include "heap/instantiate.hpp"
#include "heap/process.hpp"

namespace stave {

template <class S>
bool Allocator<S>::provide_record(ThreadHeap& heap, SizeClass cls) {
  ClassChunks& chunks = heap.classes[cls];
  if (chunks.record_count == ClassChunks::kMostOpen) return true;
  for (std::uint32_t i = 0; i != chunks.record_count; ++i) {
    if (chunks.records[i]->chunk == nullptr) return true;
  }
  const std::size_t words = constants.shapes[cls].line_count() * sizeof(OpenWord);
  const ArenaLocked<S> locked(arena, constants);
  if (chunks.records == nullptr) {
    chunks.records = static_cast<OpenChunk**>(own_memory(ClassChunks::kMostOpen * sizeof(OpenChunk*)));
    if (chunks.records == nullptr) return false;
  }
  void* const memory = own_memory(sizeof(OpenChunk) + words);
  if (memory == nullptr) return chunks.record_count != 0;
  chunks.records[chunks.record_count] = static_cast<OpenChunk*>(memory);
  keep_order();
  ++chunks.record_count;
  return true;
}

template <class S>
OpenChunk& Allocator<S>::open_chunk(ThreadHeap& heap, SizeClass cls, Chunk* chunk) {
  ClassChunks& chunks = heap.classes[cls];
  std::uint32_t index = 0;
  while (index != chunks.record_count && chunks.records[index]->chunk != nullptr) ++index;
  if (index == chunks.record_count) {
    // In turn, so that each stays for a while.
    index = chunks.record_turn++ % chunks.record_count;
    close_chunk(heap, *chunks.records[index]);
  }
  const ClassShape& shape = constants.shapes[cls];
  OpenChunk& open = *chunks.records[index];
  const auto lines = static_cast<std::uint32_t>(shape.line_count());
  for (std::uint32_t i = 0; i != lines; ++i) {
    const SlotLine& line = chunk->lines()[i];
    const std::uint64_t live = line.live.load(std::memory_order_relaxed);
    if (!guard_holds(constants.keys.bitmap, &line, live, line.held) || !marks_fit(&line, live)) {
      die_in_chunk(Fault::corrupt_bitmap, "the words of a bitmap do not fit together", chunk, &line);
    }
    open.words()[i] = {.live = live, .fresh = opened_in(chunk, &line) & ~(live | line.held)};
  }
  open.first_slot = chunk->start() + shape.slots_offset;
  open.reciprocal = shape.reciprocal;
  open.slots_bytes = shape.slots_bytes;
  open.slot_size = shape.content_bytes;
  open.notes = chunk->notes(shape.line_count());
  chunk->record = static_cast<std::uint8_t>(index);
  // A fork's child that finds a word open finds its copy as well, and either no held bits or a guard word that holds.
  keep_order();
  open.chunk = chunk;
  open.header = header_sum(chunk);
  keep_order();
  for (std::uint32_t i = 0; i != lines; ++i) {
    SlotLine& line = chunk->lines()[i];
    line.held = 0;
    keep_order();
    if (!STAVE_MUTANT(open_guard_left)) line.guard = open_guard(constants.keys.bitmap, &line);
  }
  return open;
}

template <class S>
Chunk* Allocator<S>::chunk_of(const OpenChunk& open) {
  if (header_sum(open.chunk) != open.header) [[unlikely]] {
    die_in_chunk(Fault::corrupt_header, "a chunk's header is not as it was when it verified", open.chunk, open.chunk);
  }
  return open.chunk;
}

template <class S>
void Allocator<S>::close_chunk(ThreadHeap& heap, OpenChunk& open) {
  Chunk* const chunk = chunk_of(open);
  const auto lines = static_cast<std::uint32_t>(constants.shapes[chunk->size_class()].line_count());
  for (std::uint32_t i = 0; i != lines; ++i) {
    SlotLine& line = chunk->lines()[i];
    const std::uint64_t live = line.live.load(std::memory_order_relaxed);
    if (!open.words()[i].holds(live, line.held) || !marks_fit(&line, live)) {
      die_in_chunk(Fault::corrupt_bitmap, "a bitmap is not as its owner left it", chunk, &line);
    }
    const std::uint64_t held = held_in(heap, chunk, &line);
    line.guard = guard_word(constants.keys.bitmap, &line, live, held);
    keep_order();
    line.held = held;
  }
  keep_order();
  open.let_go();
}

template <class S>
RegistryEntry Allocator<S>::sealed_entry(const ThreadHeap& heap, Chunk* chunk) {
  const RegistryEntry entry = arena.registry.find(address_of(chunk));
  if (!entry.is_chunk() || !header_holds_for(constants.keys.header, chunk, entry, &heap)) {
    die_in_chunk(Fault::corrupt_header, "the seal of a chunk's header does not verify", chunk, chunk);
  }
  return entry;
}

template <class S>
void Allocator<S>::make_current(ThreadHeap& heap, Chunk* chunk) {
  const RegistryEntry entry = sealed_entry(heap, chunk);
  const SizeClass cls = entry.size_class();
  retire_current(heap, cls);
  chunk->place = Chunk::Place::current;
  chunk->notify_when(Chunk::kNever);
  OpenChunk* const open = record_of(heap, cls, chunk);
  Cursor& cursor = heap.cursors[cls];
  cursor.slot_size = constants.shapes[cls].slot_size;
  cursor.open = open != nullptr ? open : &open_chunk(heap, cls, chunk);
}

template <class S>
void Allocator<S>::retire_current(ThreadHeap& heap, SizeClass cls) {
  Cursor& cursor = heap.cursors[cls];
  if (cursor.open == nullptr) return;
  leave_word(heap, cls);
  Chunk* const chunk = chunk_of(*cursor.open);
  cursor = {};
  place(heap, chunk);
}

template <class S>
void Allocator<S>::leave_word(ThreadHeap& heap, SizeClass cls) {
  Cursor& cursor = heap.cursors[cls];
  if (cursor.line == nullptr) return;
  const std::uint64_t live = cursor.line->live.load(std::memory_order_relaxed);
  if (!cursor.word->holds(live, cursor.line->held) || !marks_fit(cursor.line, live)) die_at_hand_out(cursor);
  if (const std::uint64_t offered = cursor.offered(); offered != 0) {
    cursor.word->fresh |= offered;
    const std::uint32_t slots = count_bits(offered);
    Chunk* const chunk = cursor.open->chunk;
    chunk->set_available(chunk->available() + slots);
    heap.served -= slots;
  }
  cursor.next = nullptr;
  cursor.candidates = 0;
  cursor.line = nullptr;
  cursor.reciprocal = 0;
}

template <class S>
void Allocator<S>::check_unwritten(Chunk* chunk, SlotLine* line, std::uint64_t slots) {
  if (STAVE_MUTANT(written_not_checked)) slots = 0;
  for (std::uint64_t left = slots; left != 0; left &= left - 1) {
    const auto place = static_cast<std::uint64_t>(std::countr_zero(left));
    const std::size_t bytes = constants.shapes[chunk->size_class()].content_bytes;
    if (!is_zero(slot_in(chunk, line, place), bytes, constants.contents.vectors)) [[unlikely]] {
      die_of_contents(Fault::write_after_free, "the slot was written while it was free", {chunk, line, place}, "held");
    }
  }
}

/// So many lines and slots are looked at.
template <class S>
void Allocator<S>::check_opened(Chunk* chunk, const ClassShape& shape) {
  if (STAVE_MUTANT(opened_not_checked)) return;
  if (chunk->opened <= shape.slot_count) return;
  die_in_chunk(Fault::corrupt_header, "the counts of a chunk are not possible", chunk, chunk);
}

template <class S>
bool Allocator<S>::take_word(ThreadHeap& heap, SizeClass cls, std::uint32_t few, bool all) {
  Cursor& cursor = heap.cursors[cls];
  OpenChunk& open = *cursor.open;
  Chunk* const chunk = open.chunk;
  if (chunk->available() < few) return false;
  const ClassShape& shape = constants.shapes[cls];
  check_opened(chunk, shape);
  const std::uint32_t most_held = all ? 0 : constants.holds[cls];
  const std::uint32_t count = (chunk->opened + 63) / 64;
  // The first word that offers enough, from the one behind the word that served last.
  std::uint32_t index = chunk->cursor;
  std::uint32_t slots = 0;  // what is free, and of that what is held
  std::uint32_t held = 0;
  for (std::uint32_t left = count;; --left, ++index) {
    if (left == 0) return false;
    if (index >= count) index = 0;
    const OpenWord& word = open.words()[index];
    const std::uint64_t free = ~word.live & low_bits(chunk->opened - index * 64);
    slots = count_bits(free);
    if (slots < few) continue;
    held = count_bits(free & ~word.fresh);
    if (slots - std::min(held, most_held) >= few) break;
  }
  SlotLine& line = chunk->lines()[index];
  OpenWord& word = open.words()[index];
  const std::uint64_t live = line.live.load(std::memory_order_relaxed);
  if (!word.holds(live, line.held) || !marks_fit(&line, live)) {
    die_in_chunk(Fault::corrupt_bitmap, "the words of a bitmap do not fit together", chunk, &line);
  }
  const std::uint64_t free = ~live & low_bits(chunk->opened - index * 64);
  // The slots that stay behind are chosen at random among the held ones: a slot leaves the hold after a number of
  // refills that nobody can predict, and never before its word's candidates were used up.
  const std::uint64_t word_held = free & ~word.fresh;
  std::uint64_t stays = all ? 0 : word_held;
  std::uint32_t staying = all ? 0 : held;
  if (staying > most_held) {
    std::uint64_t choice = heap.random.take64();
    do {
      // An eighth of them, by rotations of one random word; should these not do, of others that follow from it.
      stays &= choice & std::rotr(choice, 13) & std::rotr(choice, 37);
      choice = multiply_fold(choice, constants.keys.bitmap.a);
      staying = count_bits(stays);
    } while (staying > most_held);
  }
  const std::uint32_t found = slots - staying;
  chunk->set_available(chunk->available() - found);
  heap.served += found;
  chunk->cursor = static_cast<std::uint16_t>(index + 1);
  word.fresh = 0;
  cursor.candidates = free & ~stays;
  cursor.line = &line;
  cursor.word = &word;
  cursor.opened = static_cast<std::uint8_t>(std::min(chunk->opened - index * 64, 64U));
  cursor.slots = open.first_slot + index * std::size_t{64} * shape.slot_size;
  // Where there is more to look at or to zero than the fast path does, it must not find the slot.
  const bool more = constants.contents.watchful || shape.content_bytes == 0 ||
                    (shape.slot_size & constants.contents.zero_mask) > kShortSlot;
  cursor.reciprocal = more ? 0 : shape.reciprocal;
  if (constants.contents.find_writes) check_unwritten(chunk, &line, word_held & ~stays);
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
void Allocator<S>::open_page(OpenChunk& open) {
  Chunk* const chunk = open.chunk;
  const SizeClass cls = chunk->size_class();
  const ClassShape& shape = constants.shapes[cls];
  check_opened(chunk, shape);
  const std::uint32_t before = chunk->opened;
  const std::size_t bytes = std::size_t{before} * shape.slot_size;
  auto limit = static_cast<std::uint32_t>(align_up(bytes + 1, constants.page) / shape.slot_size);
  const std::uint32_t few = constants.few[cls];
  if (limit < before + few) limit = before + few;  // a page of large slots offers no choice
  if (limit > shape.slot_count) limit = shape.slot_count;
  chunk->set_available(chunk->available() + limit - before);
  chunk->cursor = static_cast<std::uint16_t>(before / 64);
  chunk->opened = limit;
  chunk->short_refills = 0;
  for (std::uint32_t i = before / 64; i != (limit + 63) / 64; ++i) {
    const std::uint64_t old = i * 64 >= before ? 0 : low_bits(before - i * 64);
    open.words()[i].fresh |= low_bits(limit - i * 64) & ~old;
  }
}

/// A class that is refilled again and again from few slots gets more of them: a page for every few refills, so that a
/// program that allocates little does not pay with memory, and not beyond what a cache holds.
template <class S>
void Allocator<S>::open_page_if_worn(OpenChunk& open) {
  constexpr std::uint32_t kAmple = 64;
  constexpr std::size_t kAmpleBytes = std::size_t{64} << 10;
  constexpr std::uint8_t kPatience = 8;
  Chunk* const chunk = open.chunk;
  if (chunk->available() >= kAmple || std::size_t{chunk->available()} * open.slot_size >= kAmpleBytes ||
      chunk->opened == constants.shapes[chunk->size_class()].slot_count) {
    return;
  }
  if (++chunk->short_refills >= kPatience) open_page(open);
}

template <class S>
bool Allocator<S>::refill(ThreadHeap& heap, SizeClass cls) {
  leave_word(heap, cls);
  drain_inbox(heap);
  Cursor& cursor = heap.cursors[cls];
  ClassChunks& chunks = heap.classes[cls];
  const ClassShape& shape = constants.shapes[cls];
  const std::uint32_t few = constants.few[cls];
  if (cursor.open != nullptr) {
    OpenChunk& open = *cursor.open;
    Chunk* const chunk = chunk_of(open);
    open_page_if_worn(open);
    if (take_word(heap, cls, few)) return true;
    // Only what is opened already is looked at in other chunks, before a page is opened here.
    if (chunks.usable == nullptr || chunks.usable->available() < few) {
      while (chunk->opened < shape.slot_count) {
        open_page(open);
        if (take_word(heap, cls, few)) return true;
      }
      if (take_word(heap, cls, 1)) return true;
    }
  }
  if (!provide_record(heap, cls)) return false;
  while (Chunk* const next = chunks.usable) {
    if (next->available() == next->opened) --chunks.empty;
    unlink(heap, next);
    make_current(heap, next);
    if (take_word(heap, cls, few)) return true;
    while (next->opened < shape.slot_count) {
      open_page(*cursor.open);
      if (take_word(heap, cls, few)) return true;
    }
    if (take_word(heap, cls, 1)) return true;
    if (!STAVE_MUTANT(usable_not_checked)) {
      // A usable chunk has more to offer than its words may hold back. Two that only say so would come in turns for
      // ever.
      die_in_chunk(Fault::corrupt_header, "the counts of a chunk are not possible", next, next);
    }
  }
  Chunk* fresh = nullptr;
  bool grows = false;  // beyond what the class ever had
  {
    const ArenaLocked<S> locked(arena, constants);
    const std::uint64_t vacant = arena.counts.vacant_chunks;
    fresh = arena.acquire_chunk(cls, &heap);
    grows = arena.counts.vacant_chunks == vacant;
  }
  if (fresh == nullptr) {
    // What is kept back goes first: empty chunks of orphans, and the address space of freed large blocks.
    const bool drained = drain_orphan();
    const ArenaLocked<S> locked(arena, constants);
    if (large.flush_held() || drained) fresh = arena.acquire_chunk(cls, &heap);
  }
  if (fresh != nullptr) {
    ++chunks.chunks;
    if (grows) give_back_elsewhere(heap, cls, shape.chunk_bytes());
    make_current(heap, fresh);
    open_page(*cursor.open);
    return take_word(heap, cls, 1);
  }
  // Memory is out: the last slots will do, held or not.
  if (cursor.open != nullptr && take_word(heap, cls, 1, true)) return true;
  for (Chunk* chunk = chunks.full; chunk != nullptr;) {
    if (chunk->available() != 0) {
      unlink(heap, chunk);
      make_current(heap, chunk);
      return take_word(heap, cls, 1, true);
    }
    chunk = neighbour_in(heap, chunks.full, chunk);
  }
  return false;
}

template <class S>
void* Allocator<S>::hand_out_noted(ThreadHeap& heap, Cursor& cursor, const Request& request) const {
  const ContentRules& rules = constants.contents;
  const OpenChunk& open = *cursor.open;
  const auto lay_end = [&](SlotLine* line, std::uint64_t place, char* slot, std::size_t) STAVE_FAST_LAMBDA {
    if (rules.exact || rules.families) {
      const auto index = static_cast<std::size_t>(line - open.chunk->lines()) * 64 + place;
      const SlotNotes notes{line, place, slot, open.slot_size, open.notes + index};
      if (rules.families) notes.set_family(request.family);
      if (rules.exact) note_size(rules, notes, request.size);
    }
    set_canary(rules, line, place, slot, request.size, open.slot_size);
  };
  return hand_out(heap, cursor, request.size, lay_end);
}

/// What malloc's fast path leaves because there is more to be laid behind a slot, or remembered, than it knows of.
template <class S>
void* Allocator<S>::allocate_noted(ThreadHeap& heap, const Request& request) {
  const ContentRules& rules = here().constants.contents;
  if (!rules.watchful || request.size - 1 >= kFrequentSize - kCanaryBytes || heap.is_busy() || sample_due(heap)) {
    return nullptr;
  }
  heap.enter();
  Cursor& cursor = heap.cursors[frequent_class(request.size + rules.canary_extra)];
  void* slot = nullptr;
  if (cursor.next != nullptr) [[likely]]
    slot = hand_out_noted(heap, cursor, request);
  heap.leave();
  return slot;
}

template <class S>
void* Allocator<S>::allocate_slow(ThreadHeap& heap, Request request) {
  if (void* const slot = allocate_noted(heap, request)) [[likely]]
    return slot;
  const SizeClass cls = class_for(request.size, kGrain);
  if (cls == kClassCount) return allocate_large(heap, request, kGrain);
  if (sample_due(heap)) [[unlikely]]
    return allocate_sampled(heap, cls, request);
  return allocate_in_class(heap, cls, request);
}

template <class S>
void* Allocator<S>::serve(ThreadHeap& heap, SizeClass cls, const Request& request) {
  Cursor& cursor = heap.cursors[cls];
  if (cursor.offered() == 0 && !refill(heap, cls)) return nullptr;
  if (cursor.next == nullptr) {
    // For all candidates of a word, so that it seldom runs out on the fast path.
    if (heap.noise_left < sizeof heap.noise / 2) draw_noise(heap);
    pick_next(heap, cursor);
  }
  void* const slot = hand_out_noted(heap, cursor, request);
  if (slot == nullptr) die_at_hand_out(cursor);
  return slot;
}

template <class S>
bool Allocator<S>::borrows(const ThreadHeap& heap, SizeClass cls) const {
  // Beyond them a chunk of one's own is the smaller cost.
  constexpr std::uint32_t kMost = 16;
  constexpr std::size_t kMostBytes = std::size_t{16} << 10;
  if (heap.index < constants.options.own_heaps || heap.classes[cls].chunks != 0) return false;
  return heap.lent[cls] < kMost && std::size_t{heap.lent[cls]} * kSlotSizes[cls] < kMostBytes;
}

template <class S>
void* Allocator<S>::allocate_borrowed(ThreadHeap& heap, SizeClass cls, Request request) {
  ThreadHeap* const shared = borrow_heap(heap);
  if (shared == nullptr) return nullptr;
  shared->enter();
  void* const slot = serve(*shared, cls, request);
  shared->leave();
  return_heap(heap);
  ++heap.lent[cls];
  return slot;
}

template <class S>
void* Allocator<S>::allocate_in_class(ThreadHeap& heap, SizeClass cls, Request request) {
  ThreadHeap* own = &heap;
  if (heap.is_busy()) {
    own = S::kProcess ? process_heap_slow() : nested_heap(heap);
    if (own == nullptr) return nullptr;
  }
  follow_trim(*own);
  own->enter();
  void* slot = nullptr;
  if (borrows(*own, cls)) slot = allocate_borrowed(*own, cls, request);
  if (slot == nullptr) slot = serve(*own, cls, request);
  own->leave();
  if constexpr (S::kProcess) process_heap_done(own);
  return slot;
}

template <class S>
void* Allocator<S>::allocate_large(ThreadHeap& heap, Request request, std::size_t alignment) {
  if (request.size > static_cast<std::size_t>(PTRDIFF_MAX)) return nullptr;
  if constexpr (S::kProcess) {
    if (!process_is_started()) (void)process_heap_slow();
  }
  void* block = nullptr;
  std::uint64_t grown = 0;
  {
    const ArenaLocked<S> locked(arena, constants);
    const std::uint64_t most = large.most_live_bytes;
    block = large.allocate(request, alignment);
    grown = large.most_live_bytes - most;
  }
  if (grown != 0 && !heap.is_busy()) {
    heap.enter();
    give_back_elsewhere(heap, kClassCount, grown);
    heap.leave();
  }
  if (block == nullptr && !heap.is_busy() && give_back_empty(heap)) {
    const ArenaLocked<S> locked(arena, constants);
    block = large.allocate(request, alignment);
  }
  if (block != nullptr) {
    const std::size_t end = align_up(address_of(block) + (request.size == 0 ? 1 : request.size), constants.page);
    sanitizer::mark_live(block, request.size, end - address_of(block));
  }
  return block;
}

template <class S>
bool Allocator<S>::give_back_empty(ThreadHeap& heap) {
  bool any = false;
  heap.enter();
  drain_inbox(heap);
  if (STAVE_MUTANT(release_with_push_pending)) {
    arena.for_each_chunk([&](Chunk* c) {
      const std::size_t lines = constants.shapes[arena.registry.find(address_of(c)).size_class()].line_count();
      for (std::uint32_t i = 0; c->owner == &heap && i != lines; ++i) collect_word(heap, c, i);
    });
  }
  for (SizeClass cls = 0; cls != kClassCount; ++cls) {
    retire_current(heap, cls);
    ClassChunks& chunks = heap.classes[cls];
    while (chunks.empty != 0) {
      release_empty(heap, cls);
      any = true;
    }
  }
  heap.leave();
  return any;
}

/// What was freed into these pages is gone with them: they read as zero when their slots are used again.
template <class S>
bool Allocator<S>::discard_free_pages(ThreadHeap& heap, Chunk* chunk) {
  const RegistryEntry entry = sealed_entry(heap, chunk);
  const ClassShape& shape = constants.shapes[entry.size_class()];
  if (shape.content_bytes == 0) return false;
  check_opened(chunk, shape);
  if (!STAVE_MUTANT(trim_not_checked)) {
    for (std::size_t i = 0; i != shape.line_count(); ++i) {
      const SlotLine& line = chunk->lines()[i];
      const OpenWord* const open = open_word(heap, entry.size_class(), chunk, &line);
      if (!word_holds(open, &line, line.live.load(std::memory_order_relaxed), line.held)) [[unlikely]] {
        die_in_chunk(Fault::corrupt_bitmap, "a bitmap is not as its owner left it", chunk, &line);
      }
    }
  }
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
        any = discard_free_pages(heap, chunk) || any;
        chunk = neighbour_in(heap, *list, chunk);
      }
    }
  }
  heap.leave();
  return any;
}

#define STAVE_REFILL(S)                                                            \
  template bool Allocator<S>::refill(ThreadHeap&, SizeClass);                      \
  template void* Allocator<S>::allocate_slow(ThreadHeap&, Request);                \
  template void* Allocator<S>::allocate_in_class(ThreadHeap&, SizeClass, Request); \
  template void* Allocator<S>::allocate_borrowed(ThreadHeap&, SizeClass, Request); \
  template void* Allocator<S>::allocate_large(ThreadHeap&, Request, std::size_t);  \
  template void Allocator<S>::retire_current(ThreadHeap&, SizeClass);              \
  template void Allocator<S>::close_chunk(ThreadHeap&, OpenChunk&);                \
  template void Allocator<S>::draw_noise(ThreadHeap&);                             \
  template bool Allocator<S>::give_back_empty(ThreadHeap&);                        \
  template bool Allocator<S>::give_back_all(ThreadHeap&);                          \
  template RegistryEntry Allocator<S>::sealed_entry(const ThreadHeap&, Chunk*);
STAVE_INSTANTIATE(STAVE_REFILL);

}  // namespace stave
