// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sizes: usable_size, realloc, alignment, and the frees that are not of a slot.
#include <cerrno>
#include <cstring>
#include <optional>

#include "heap/fast_path.hpp"
#include "heap/instantiate.hpp"
#include "heap/resolve.hpp"

namespace stave {
namespace {

/// What reallocate may keep in place: growth within the slot, and shrinking that does not waste half of it.
bool fits_well(std::size_t size, std::size_t usable) { return size <= usable && size >= usable / 2; }

}  // namespace

/// The slot of an open chunk that begins at `pointer`, if one does, is taken back. nullptr: nothing was changed.
STAVE_FAST Chunk* take_back(const ContentRules& contents, OpenChunk* open, void* pointer) {
  const std::uintptr_t offset = address_of(pointer) - address_of(open->first_slot);
  if (offset >= open->slots_bytes) return nullptr;
  const SlotIndex slot = slot_index(open->reciprocal, offset);
  if (!slot.exact) [[unlikely]]
    return nullptr;
  Chunk* const chunk = open->chunk;
  if (header_sum(chunk) != open->header) [[unlikely]]
    return nullptr;
  const struct {
    OpenWord* word;
    SlotLine* line;
    std::size_t slot_size;
  } where = {open->words() + slot.index / 64, chunk->lines() + slot.index / 64, open->slot_size};
  return take_back<false>(contents, where, slot.index % 64, pointer) ? chunk : nullptr;
}

template <class S>
void Allocator<S>::deallocate_slow(ThreadHeap& heap, void* pointer) {
  Chunk* const chunk = take_back(here().constants.contents, heap.nearby_of(pointer), pointer);
  if (chunk == nullptr) return here().deallocate_farther(heap, pointer);
  here().gained_last(heap, chunk);
}

template <class S>
void Allocator<S>::deallocate_farther(ThreadHeap& heap, void* pointer) {
  if (pointer == nullptr) return heap.leave();
  const RegistryEntry entry = arena.registry.find(address_of(pointer));
  Chunk* const chunk = header_of(entry);
  if (!entry.is_chunk() || !free_local(heap, chunk, entry, pointer)) [[unlikely]] {
    heap.leave();
    return deallocate_elsewhere(heap, pointer);
  }
  gained_last(heap, chunk);
}

template <class S>
bool Allocator<S>::free_local(ThreadHeap& heap, Chunk* chunk, RegistryEntry entry, void* pointer) {
  if (chunk->owner != &heap) return false;
  const SizeClass cls = entry.size_class();
  if (OpenChunk* const open = record_of(heap, cls, chunk)) {
    heap.nearby_of(pointer) = open;
    return take_back(constants.contents, open, pointer) != nullptr;
  }
  if (!header_holds_for(constants.keys.header, chunk, entry, &heap)) return false;
  const std::optional<SlotRef> slot = slot_at(constants.shapes[cls], chunk, pointer);
  if (!slot) return false;
  SlotLine* const line = slot->line;
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  if (!has_bit(live & ~line->marked.load(std::memory_order_relaxed), slot->place)) return false;
  if (!end_holds(constants.contents, line, slot->place, pointer, kSlotSizes[cls])) return false;
  if (constants.contents.neighbours && !front_holds(constants.contents, line, slot->place, pointer, kSlotSizes[cls]))
    return false;
  sanitizer::mark_free(pointer, kSlotSizes[cls]);
  return free_in_word(chunk, nullptr, line, live, line->held, slot->bit());
}

template <class S>
void Allocator<S>::deallocate_elsewhere(ThreadHeap& heap, void* pointer) {
  const RegistryEntry entry = arena.registry.find(address_of(pointer));
  if (!entry.is_chunk()) return deallocate_large(pointer, entry);
  const SlotRef slot = resolve(*this, pointer, entry, Fault::double_free);
  if (slot.chunk->owner != &heap || heap.is_busy()) return remote_free(pointer, slot);
  const std::uint64_t live = slot.line->live.load(std::memory_order_relaxed);
  const std::uint64_t marked = slot.line->marked.load(std::memory_order_relaxed);
#if defined(STAVE_MUTANT_second_free_local_local)
  if (!has_bit(live, slot.place)) return;
#elif defined(STAVE_MUTANT_second_free_remote_local)
  if (has_bit(marked, slot.place)) return;
#endif
  if (!has_bit(live & ~marked, slot.place)) die_of_slot(pointer, Fault::double_free);
  if (!end_holds(constants.contents, slot.line, slot.place, pointer, kSlotSizes[entry.size_class()])) {
    die_of_contents(Fault::overflow, kCanaryChanged, slot, "live");
  }
  if (!front_holds(constants.contents, slot.line, slot.place, pointer, kSlotSizes[entry.size_class()])) {
    die_of_front(slot);
  }
  die_in_chunk(Fault::corrupt_bitmap, "a bitmap is not as its owner left it", slot.chunk, slot.line);
}

template <class S>
void Allocator<S>::deallocate_large(void* pointer, RegistryEntry entry) {
  if (pointer == nullptr) return;
  if (entry.kind() == UnitKind::large) {
    const ArenaLocked<S> locked(arena, constants);
    // Read again: the block may have gone before we held the lock.
    const RegistryEntry now = arena.registry.find(address_of(pointer));
    if (now.kind() == UnitKind::large) {
      large.free(large.find_live(pointer, now, Fault::double_free));
      return;
    }
  }
  if (entry.kind() == UnitKind::vacant) die_of_slot(pointer, Fault::double_free);
  free_foreign(pointer);
}

template <class S>
std::size_t Allocator<S>::usable_size(const void* pointer, Fault freed_fault) {
  const RegistryEntry entry = arena.registry.find(address_of(pointer));
  if (entry.is_chunk()) {
    const SlotRef slot = resolve(*this, pointer, entry, freed_fault);
    const std::uint64_t live = slot.line->live.load(std::memory_order_acquire);
    if ((live & ~slot.line->marked.load(std::memory_order_acquire) & slot.bit()) == 0)
      die_of_slot(pointer, freed_fault);
    const std::size_t usable = kSlotSizes[entry.size_class()] - (has_canary(slot.line, slot.place) ? kCanaryBytes : 0);
    sanitizer::mark_live(pointer, usable, usable);  // who asks may write all of it
    return usable;
  }
  if (entry.kind() == UnitKind::large) {
    const ArenaLocked<S> locked(arena, constants);
    const RegistryEntry now = arena.registry.find(address_of(pointer));
    if (now.kind() == UnitKind::large) {
      const std::size_t usable = large.find_live(pointer, now, freed_fault)->usable;
      sanitizer::mark_live(pointer, usable, usable);
      return usable;
    }
  }
  if (entry.kind() == UnitKind::vacant) die_of_slot(pointer, freed_fault);
  return usable_size_of_foreign(pointer);
}

template <class S>
bool Allocator<S>::bounds_of(const void* address, void** start, std::size_t* size) {
  const RegistryEntry entry = arena.registry.find(address_of(address));
  if (entry.is_chunk()) {
    const ClassShape& shape = constants.shapes[entry.size_class()];
    Chunk* const chunk = header_of(entry);
    const std::uintptr_t offset = address_of(address) - address_of(chunk->start()) - shape.slots_offset;
    if (offset >= shape.slots_bytes) return false;
    const std::uint64_t index = slot_index(shape.reciprocal, offset).index;
    const SlotLine& line = chunk->lines()[index / 64];
    const std::uint64_t live = line.live.load(std::memory_order_acquire) & ~line.marked.load(std::memory_order_acquire);
    if ((live >> (index & 63) & 1) == 0) return false;
    *start = chunk->start() + shape.slots_offset + index * std::size_t{shape.slot_size};
    *size = shape.slot_size - (has_canary(&line, index & 63) ? kCanaryBytes : 0);
    return true;
  }
  if (entry.kind() != UnitKind::large) return false;
  const ArenaLocked<S> locked(arena, constants);
  const RegistryEntry now = arena.registry.find(address_of(address));
  const LargeRecord* const record = now.kind() == UnitKind::large ? large.find_around(address, now) : nullptr;
  if (record == nullptr) return false;
  *start = reinterpret_cast<void*>(record->base);
  *size = record->usable;
  return true;
}

template <class S>
void* Allocator<S>::reallocate(ThreadHeap& heap, void* pointer, std::size_t size) {
  const std::size_t usable = usable_size(pointer, Fault::freed_pointer);
  if (usable == 0) [[unlikely]]
    return reallocate_foreign(pointer, size);
  if (usable > kLargestSlot) {
    if (size > kLargestSlot && size <= static_cast<std::size_t>(PTRDIFF_MAX)) {
      const ArenaLocked<S> locked(arena, constants);
      const RegistryEntry entry = arena.registry.find(address_of(pointer));
      LargeRecord* const record = large.find_live(pointer, entry, Fault::freed_pointer);
      if (void* const block = large.resize(record, size)) {
        const RegistryEntry now = arena.registry.find(address_of(block));
        sanitizer::mark_live(block, size, large.find_live(block, now, Fault::freed_pointer)->usable);
        return block;
      }
    }
  }
  if (fits_well(size, usable)) {
    sanitizer::mark_live(pointer, size, usable);
    if (!heap.is_busy()) ++heap.served;
    return pointer;
  }
  void* const fresh = allocate(*this, heap, size);
  if (fresh == nullptr) return nullptr;
  std::memcpy(fresh, pointer, size < usable ? size : usable);
  deallocate(*this, heap, pointer);
  return fresh;
}

template <class S>
void* Allocator<S>::allocate_zeroed(ThreadHeap& heap, std::size_t count, std::size_t size) {
  std::size_t bytes = 0;
  if (!multiply(count, size, &bytes)) return nullptr;
  void* const memory = allocate(*this, heap, bytes);
#if !defined(STAVE_MUTANT_calloc_not_zeroed)
  // A large block comes fresh from the kernel, and a slot is zero where slots are zeroed when they are freed.
  if (memory != nullptr && bytes <= kLargestSlot && constants.contents.zero_mask == 0) std::memset(memory, 0, bytes);
#endif
  return memory;
}

template <class S>
void* Allocator<S>::allocate_aligned(ThreadHeap& heap, std::size_t alignment, std::size_t size) {
  if (alignment <= kGrain) return allocate(*this, heap, size);
#if defined(STAVE_MUTANT_wrong_alignment)
  if (alignment <= 4 * kGrain) return allocate(*this, heap, size);
#endif
  if (alignment <= constants.page) {
    // Slot 0 lies on a page, so slots are as aligned as their size is. Each power of two has a class.
    const std::size_t extra = constants.contents.canary_extra;
    const std::size_t rounded = size <= kLargestSlot ? align_up((size == 0 ? 1 : size) + extra, alignment) : size;
    if (rounded <= kLargestSlot) {
      for (SizeClass cls = size_class_for(rounded); cls != kClassCount; ++cls) {
        if (kSlotSizes[cls] % alignment != 0) continue;
        return allocate_in_class(heap, cls, size);
      }
    }
  }
  return allocate_large(heap, size, alignment);
}

#define STAVE_SIZES(S)                                                                 \
  template void Allocator<S>::deallocate_slow(ThreadHeap&, void*);                     \
  template void Allocator<S>::deallocate_elsewhere(ThreadHeap&, void*);                \
  template std::size_t Allocator<S>::usable_size(const void*, Fault);                  \
  template bool Allocator<S>::bounds_of(const void*, void**, std::size_t*);            \
  template void* Allocator<S>::reallocate(ThreadHeap&, void*, std::size_t);            \
  template void* Allocator<S>::allocate_zeroed(ThreadHeap&, std::size_t, std::size_t); \
  template void* Allocator<S>::allocate_aligned(ThreadHeap&, std::size_t, std::size_t);
STAVE_INSTANTIATE(STAVE_SIZES);

}  // namespace stave
