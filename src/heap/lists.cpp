// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Chunk lists. The pointers change, so no seal covers them; they are checked when followed.
#include "base/mutant.hpp"
#include "heap/allocator.hpp"
#include "heap/instantiate.hpp"

namespace stave {
namespace {

/// Empty chunks of a class that a heap keeps, so that a program at the edge of a chunk, or one whose blocks come back
/// in waves, does not map and unmap: half as many as are in use, and a few small ones. A page fault costs as much as a
/// hundred allocations. What others need for the first time goes first (give_back_elsewhere).
std::uint32_t few_empties(const ClassShape& shape) { return shape.units_log2 == 0 ? 3 : 1; }
std::uint32_t empties_kept(const ClassChunks& chunks, const ClassShape& shape) {
  return few_empties(shape) + chunks.chunks / 2;
}

}  // namespace

template <class S>
void Allocator<S>::check_neighbour(ThreadHeap& heap, Chunk* chunk, Chunk* neighbour) {
  if (STAVE_MUTANT(no_list_check)) return;
  const RegistryEntry entry = arena.registry.find(address_of(neighbour));
  const bool ours = entry.is_chunk() && entry.size_class() == chunk->size_class() && header_of(entry) == neighbour &&
                    neighbour->place == chunk->place &&
                    header_holds_for(constants.keys.header, neighbour, entry, &heap);
  if (!ours) [[unlikely]] {
    die_in_chunk(Fault::corrupt_list, "a chunk list leads to what is not a chunk of it", chunk, neighbour);
  }
}

template <class S>
Chunk* Allocator<S>::neighbour_in(ThreadHeap& heap, const Chunk* first, Chunk* chunk, bool back) {
  Chunk* const neighbour = back ? chunk->previous : chunk->next;
  check_neighbour(heap, chunk, neighbour);
  // Or the list may lead in a circle that its first chunk is not part of.
  if (!STAVE_MUTANT(no_list_check) && (back ? neighbour->next : neighbour->previous) != chunk) [[unlikely]] {
    die_in_chunk(Fault::corrupt_list, "a chunk's neighbour does not point back", chunk, chunk);
  }
  return neighbour == first ? nullptr : neighbour;
}

template <class S>
void Allocator<S>::push(ThreadHeap& heap, Chunk** list, Chunk* chunk, bool front) {
  Chunk* const head = *list;
  if (head == nullptr) {
    chunk->next = chunk->previous = chunk;
    *list = chunk;
    return;
  }
  check_neighbour(heap, chunk, head);
  Chunk* const tail = head->previous;
  if (tail != head) check_neighbour(heap, chunk, tail);
  if (tail->next != head) die_in_chunk(Fault::corrupt_list, "a chunk's neighbour does not point back", head, tail);
  chunk->next = head;
  chunk->previous = tail;
  tail->next = chunk;
  head->previous = chunk;
  if (front) *list = chunk;
}

template <class S>
void Allocator<S>::unlink(ThreadHeap& heap, Chunk* chunk) {
  check_neighbour(heap, chunk, chunk->next);
  if (chunk->previous != chunk->next) check_neighbour(heap, chunk, chunk->previous);
  if (!STAVE_MUTANT(no_list_check) && (chunk->next->previous != chunk || chunk->previous->next != chunk)) [[unlikely]] {
    die_in_chunk(Fault::corrupt_list, "a chunk's neighbour does not point back", chunk, chunk);
  }
  // Only now is it known that the chunk's class, which its neighbours have, is one.
  ClassChunks& chunks = heap.classes[chunk->size_class()];
  Chunk** const list = chunk->place == Chunk::Place::usable ? &chunks.usable : &chunks.full;
  if (chunk->next == chunk) {
    *list = nullptr;
  } else {
    chunk->next->previous = chunk->previous;
    chunk->previous->next = chunk->next;
    if (*list == chunk) *list = chunk->next;
  }
  chunk->next = chunk->previous = chunk;
}

template <class S>
void Allocator<S>::place(ThreadHeap& heap, Chunk* chunk) {
  ClassChunks& chunks = heap.classes[chunk->size_class()];
  if (chunk->available() == chunk->opened &&
      chunks.empty >= empties_kept(chunks, constants.shapes[chunk->size_class()])) {
    --chunks.chunks;
    release_chunk(heap, chunk);
    return;
  }
  file_chunk(heap, chunk);
}

template <class S>
void Allocator<S>::release_chunk(ThreadHeap& heap, Chunk* chunk) {
  if (OpenChunk* const open = record_of(heap, chunk->size_class(), chunk)) close_chunk(heap, *open);
  // No seal covers the counts of a chunk: whether it is empty is for its words to say.
  const auto lines = static_cast<std::uint32_t>(constants.shapes[chunk->size_class()].line_count());
  for (std::uint32_t i = 0; i != lines; ++i) {
    const SlotLine& line = chunk->lines()[i];
    const std::uint64_t live = line.live.load(std::memory_order_relaxed);
    if (!STAVE_MUTANT(release_not_checked) &&
        (live != 0 || !guard_holds(constants.keys.bitmap, &line, live, line.held))) [[unlikely]] {
      die_in_chunk(Fault::corrupt_bitmap, "a chunk that its counts say is empty is not", chunk, &line);
    }
  }
  // What is not collected is still live, so this cannot fire as long as the words are true.
  if (!STAVE_MUTANT(release_with_push_pending) && chunk->pending.load(std::memory_order_acquire) != 0) [[unlikely]] {
    die_in_chunk(Fault::corrupt_bitmap, "a chunk without live slots has frees to collect", chunk, chunk);
  }
  const ArenaLocked<S> locked(arena, constants);
  arena.release_chunk(chunk);
}

template <class S>
void Allocator<S>::release_empty(ThreadHeap& heap, SizeClass cls) {
  ClassChunks& chunks = heap.classes[cls];
  // Empty chunks stand at the end of the usable ones, or a little before it.
  Chunk* chunk = chunks.usable;
  while (chunk != nullptr && chunk->available() != chunk->opened) {
    chunk = neighbour_in(heap, chunks.usable, chunk, true);
  }
  if (chunk == nullptr) {
    die_in_chunk(Fault::corrupt_list, "a count of empty chunks is not true", chunks.usable, &heap);
  }
  --chunks.empty;
  --chunks.chunks;
  unlink(heap, chunk);
  release_chunk(heap, chunk);
}

template <class S>
void Allocator<S>::give_back_elsewhere(ThreadHeap& heap, SizeClass but, std::size_t bytes) {
  for (SizeClass passed = 0; passed != kClassCount && bytes != 0;) {
    const SizeClass cls = heap.donor;
    const ClassShape& shape = constants.shapes[cls];
    if (cls == but || heap.classes[cls].empty <= few_empties(shape)) {
      heap.donor = static_cast<SizeClass>((cls + 1) % kClassCount);
      ++passed;
      continue;
    }
    release_empty(heap, cls);
    bytes -= shape.chunk_bytes() < bytes ? shape.chunk_bytes() : bytes;
  }
}

template <class S>
void Allocator<S>::file_chunk(ThreadHeap& heap, Chunk* chunk) {
  ClassChunks& chunks = heap.classes[chunk->size_class()];
  const ClassShape& shape = constants.shapes[chunk->size_class()];
  if (chunk->available() == chunk->opened) {
    ++chunks.empty;
    chunk->place = Chunk::Place::usable;
    chunk->notify_when(Chunk::kNever);
    push(heap, &chunks.usable, chunk, false);  // behind the fuller ones, so that it has a chance to go
    return;
  }
  const std::uint32_t usable_at = constants.usable_at[chunk->size_class()];
  const bool usable = chunk->available() >= usable_at || chunk->opened != shape.slot_count;
  chunk->place = usable ? Chunk::Place::usable : Chunk::Place::full;
  chunk->notify_when(usable ? chunk->opened : usable_at);
  push(heap, usable ? &chunks.usable : &chunks.full, chunk, true);
}

template <class S>
void Allocator<S>::chunk_gained(ThreadHeap& heap, Chunk* chunk) {
  // A stray value must not lead us here forever, nor release what is in use.
  if (!STAVE_MUTANT(gained_not_checked) &&
      (chunk->available() > chunk->opened || chunk->place == Chunk::Place::current)) {
    die_in_chunk(Fault::corrupt_header, "the counts of a chunk are not possible", chunk, chunk);
  }
  unlink(heap, chunk);
  place(heap, chunk);
}

template <class S>
void Allocator<S>::chunk_gained_last(ThreadHeap& heap, Chunk* chunk) {
  chunk_gained(heap, chunk);
  heap.leave();
}

#define STAVE_LISTS(S)                                                                  \
  template void Allocator<S>::push(ThreadHeap&, Chunk**, Chunk*, bool);                 \
  template void Allocator<S>::unlink(ThreadHeap&, Chunk*);                              \
  template void Allocator<S>::place(ThreadHeap&, Chunk*);                               \
  template void Allocator<S>::file_chunk(ThreadHeap&, Chunk*);                          \
  template void Allocator<S>::release_chunk(ThreadHeap&, Chunk*);                       \
  template void Allocator<S>::release_empty(ThreadHeap&, SizeClass);                    \
  template void Allocator<S>::give_back_elsewhere(ThreadHeap&, SizeClass, std::size_t); \
  template Chunk* Allocator<S>::neighbour_in(ThreadHeap&, const Chunk*, Chunk*, bool);  \
  template void Allocator<S>::chunk_gained(ThreadHeap&, Chunk*);                        \
  template void Allocator<S>::chunk_gained_last(ThreadHeap&, Chunk*);
STAVE_INSTANTIATE(STAVE_LISTS);

}  // namespace stave
