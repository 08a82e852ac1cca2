// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sizes: usable_size, realloc, alignment, and the frees that are not of a slot.
#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/mutant.hpp"
#include "heap/fast_path.hpp"
#include "heap/instantiate.hpp"
#include "heap/resolve.hpp"

namespace stave {
namespace {

/// What reallocate may keep in place: growth within the slot, and shrinking that does not waste half of it.
bool fits_well(std::size_t size, std::size_t usable) { return size <= usable && size >= usable / 2; }

/// Whether a free names a size that the fast path serves from this class: most do.
STAVE_FAST bool is_of_class(const ContentRules& rules, const Claim& claim, SizeClass cls) {
  return claim.alignment_log2 == 0 && claim.size - 1 < rules.fast_limit && frequent_class(claim.size) == cls;
}

}  // namespace

template <class S>
template <bool kWatchful>
Chunk* Allocator<S>::take_back_slot(OpenChunk* open, void* pointer, const Claim& claim) {
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
  const ContentRules& rules = here().constants.contents;
  const auto fits = [&]() STAVE_FAST_LAMBDA {
    if constexpr (!kWatchful) {
      return !says(rules, claim) || is_of_class(rules, claim, chunk->size_class()) ||
             here().may_free_slot(*open, slot.index, claim);
    } else {
      const SlotNotes notes{where.line, slot.index % 64, static_cast<char*>(pointer), open->slot_size,
                            open->notes + slot.index};
      return may_free(notes, chunk->size_class(), claim);
    }
  };
  return take_back<false>(rules, where, slot.index % 64, pointer, fits) ? chunk : nullptr;
}

template <class S>
void Allocator<S>::deallocate_slow(ThreadHeap& heap, void* pointer, Claim claim) {
  if (here().constants.contents.watchful) return here().deallocate_watchful(heap, pointer, claim);
  Chunk* const chunk = here().template take_back_slot<false>(heap.nearby_of(pointer), pointer, claim);
  if (chunk == nullptr) return here().deallocate_farther(heap, pointer, claim);
  here().gained_last(heap, chunk);
}

template <class S>
void Allocator<S>::deallocate_watchful(ThreadHeap& heap, void* pointer, Claim claim) {
  Chunk* const chunk = here().template take_back_slot<true>(heap.nearby_of(pointer), pointer, claim);
  if (chunk == nullptr) return here().deallocate_farther(heap, pointer, claim);
  here().gained_last(heap, chunk);
}

template <class S>
void Allocator<S>::deallocate_farther(ThreadHeap& heap, void* pointer, Claim claim) {
  if (pointer == nullptr) return heap.leave();
  const RegistryEntry entry = arena.registry.find(address_of(pointer));
  Chunk* const chunk = header_of(entry);
  if (!entry.is_chunk() || !free_local(heap, chunk, entry, pointer, claim)) [[unlikely]] {
    heap.leave();
    return deallocate_elsewhere(heap, pointer, claim);
  }
  gained_last(heap, chunk);
}

template <class S>
bool Allocator<S>::free_local(ThreadHeap& heap, Chunk* chunk, RegistryEntry entry, void* pointer, const Claim& claim) {
  if (chunk->owner != &heap) return false;
  const SizeClass cls = entry.size_class();
  if (OpenChunk* const open = record_of(heap, cls, chunk)) {
    heap.nearby_of(pointer) = open;
    return take_back_slot<true>(open, pointer, claim) != nullptr;
  }
  if (!header_holds_for(constants.keys.header, chunk, entry, &heap)) return false;
  const std::optional<SlotRef> slot = slot_at(constants.shapes[cls], chunk, pointer);
  if (!slot) return false;
  SlotLine* const line = slot->line;
  const std::uint64_t live = line->live.load(std::memory_order_relaxed);
  if (!has_bit(live & ~line->marked.load(std::memory_order_relaxed), slot->place)) return false;
  const SlotNotes notes = notes_of(chunk, line, slot->place);
  if (!own_canary_holds(constants.contents, notes) || !may_free(notes, cls, claim)) return false;
  sanitizer::mark_free(pointer, notes.slot_size);
  return free_in_word(chunk, nullptr, line, live, line->held, slot->bit());
}

template <class S>
void Allocator<S>::deallocate_elsewhere(ThreadHeap& heap, void* pointer, Claim claim) {
  STAVE_KEEP_FRAME();
  const RegistryEntry entry = arena.registry.find(address_of(pointer));
  if (entry.kind() == UnitKind::sample) return free_sample(pointer, claim);
  if (!entry.is_chunk()) return deallocate_large(pointer, entry, claim);
  const SlotRef slot = resolve(*this, pointer, entry, Fault::double_free);
  if (slot.chunk->owner != &heap || heap.is_busy()) return remote_free(pointer, slot, claim);
  const std::uint64_t live = slot.line->live.load(std::memory_order_relaxed);
  const std::uint64_t marked = slot.line->marked.load(std::memory_order_relaxed);
  if (STAVE_MUTANT(second_free_local_local) && !has_bit(live, slot.place)) return;
  if (STAVE_MUTANT(second_free_remote_local) && has_bit(marked, slot.place)) return;
  if (!has_bit(live & ~marked, slot.place)) die_of_slot(pointer, Fault::double_free);
  const SlotNotes notes = notes_of(slot.chunk, slot.line, slot.place);
  if (!end_holds(constants.contents, notes)) die_of_contents(Fault::overflow, kEndChanged, slot, "live");
  if (!front_holds(constants.contents, notes)) die_of_front(slot);
  if (!claim_fits(notes, entry.size_class(), claim)) die_of_claim(slot, claim);
  die_in_chunk(Fault::corrupt_bitmap, "a bitmap is not as its owner left it", slot.chunk, slot.line);
}

template <class S>
bool Allocator<S>::may_free_slot(const OpenChunk& open, std::size_t index, Claim claim) const {
  SlotLine* const line = open.chunk->lines() + index / 64;
  return may_free(notes_of(open.chunk, line, index % 64), open.chunk->size_class(), claim);
}

template <class S>
bool Allocator<S>::size_claim_fits(const SlotNotes& notes, SizeClass cls, const Claim& claim) const {
  const ContentRules& rules = constants.contents;
  if (STAVE_MUTANT(size_not_checked)) return true;
  if (!rules.sized) return true;
  if (rules.sized_exactly) return false;  // claim_fits has compared them
  if (class_for(claim.size, claim.alignment()) == cls) return true;
  // realloc may have left it where it was.
  return claim.family == Family::malloc && fits_well(claim.size, notes.capacity());
}

template <class S>
void Allocator<S>::deallocate_large(void* pointer, RegistryEntry entry, const Claim& claim) {
  if (pointer == nullptr) return;
  if (entry.kind() == UnitKind::large) {
    yield("free-before-lock");
    const ArenaLocked<S> locked(arena, constants);
    // Read again: the block may have gone before we held the lock.
    const RegistryEntry now = arena.registry.find(address_of(pointer));
    if (now.kind() == UnitKind::large) {
      LargeRecord* const record = large.find_live(pointer, now, Fault::double_free);
      large.check_claim(*record, claim);
      large.free(record);
      return;
    }
  }
  if (!STAVE_MUTANT(vacant_not_told) && entry.kind() == UnitKind::vacant) die_of_slot(pointer, Fault::double_free);
  free_foreign(pointer);
}

template <class S>
SlotRef Allocator<S>::live_slot(const void* pointer, RegistryEntry entry, Fault freed_fault) {
  const SlotRef slot = resolve(*this, pointer, entry, freed_fault);
  if (STAVE_MUTANT(freed_not_checked)) return slot;
  const std::uint64_t live = slot.line->live.load(std::memory_order_acquire);
  if ((live & ~slot.line->marked.load(std::memory_order_acquire) & slot.bit()) == 0) die_of_slot(pointer, freed_fault);
  return slot;
}

template <class S>
std::size_t Allocator<S>::usable_size(const void* pointer, Fault freed_fault) {
  const RegistryEntry entry = arena.registry.find(address_of(pointer));
  if (entry.is_chunk()) {
    const SlotRef slot = live_slot(pointer, entry, freed_fault);
    const SlotNotes notes = notes_of(slot.chunk, slot.line, slot.place);
    // Who asks may write all of it.
    if (!size_is_possible(constants.contents, notes)) die_of_contents(Fault::overflow, kEndChanged, slot, "live");
    const std::size_t usable = notes.size(constants.contents);
    sanitizer::mark_resized(pointer, usable, usable);
    return usable;
  }
  if (entry.kind() == UnitKind::large) {
    const ArenaLocked<S> locked(arena, constants);
    const RegistryEntry now = arena.registry.find(address_of(pointer));
    if (now.kind() == UnitKind::large) {
      const std::size_t usable = large.size(*large.find_live(pointer, now, freed_fault));
      sanitizer::mark_resized(pointer, usable, usable);
      return usable;
    }
  }
  if (entry.kind() == UnitKind::sample) return size_of_sample(pointer, freed_fault, {.any_family = true});
  if (entry.kind() == UnitKind::vacant) die_of_slot(pointer, freed_fault);
  return usable_size_of_foreign(pointer);
}

namespace {

/// A live allocation.
struct Bounds {
  std::uintptr_t start = 0;
  std::size_t size = 0;
};

/// The live slot around an address; start 0: there is none. Only the registry is believed. pre: entry is the address's
/// and is_chunk().
STAVE_FAST Bounds slot_around(const Constants& constants, std::uintptr_t address, RegistryEntry entry) {
  const ClassShape& shape = constants.shapes[entry.size_class()];
  const std::uintptr_t first = align_down(entry.header(), kUnit) + shape.slots_offset;
  if (address - first >= shape.slots_bytes) [[unlikely]]
    return {};
  const std::uint64_t index = slot_index(shape.reciprocal, address - first).index;
  Chunk* const chunk = header_of(entry);
  SlotLine& line = chunk->lines()[index / 64];
  const std::uint64_t live = line.live.load(std::memory_order_acquire) & ~line.marked.load(std::memory_order_acquire);
  if (!has_bit(live, index % 64)) [[unlikely]]
    return {};
  // Whoever asks may use the slot, or the program races with itself.
  const std::size_t slack = constants.contents.exact
                                ? __atomic_load_n(chunk->notes(shape.line_count()) + index, __ATOMIC_RELAXED)
                            : has_canary(&line, index % 64) ? kCanaryBytes
                                                            : 0;
  return {first + index * shape.slot_size, slack <= shape.content_bytes ? shape.content_bytes - slack : 0};
}

}  // namespace

template <class S>
bool Allocator<S>::bounds_of(const void* address, void** start, std::size_t* size) {
  const RegistryEntry entry = arena.registry.find(address_of(address));
  if (entry.is_chunk()) {
    const Bounds slot = slot_around(constants, address_of(address), entry);
    if (slot.start == 0) return false;
    *start = reinterpret_cast<void*>(slot.start);
    *size = slot.size;
    return true;
  }
  if (entry.kind() == UnitKind::sample) {
    const SampleRecord* const sample = samples.find_around(address, entry);
    if (sample == nullptr) return false;
    *start = reinterpret_cast<void*>(sample->base);
    *size = sample->requested;
    return true;
  }
  if (entry.kind() != UnitKind::large) return false;
  const std::optional<LargeRecord> record = large.glimpse(entry);
  if (!record || record->state != LargeRecord::State::live) return false;
  if (address_of(address) - record->start() >= record->capacity()) return false;
  *start = reinterpret_cast<void*>(record->start());
  *size = large.size(*record);
  return true;
}

template <class S>
std::size_t Allocator<S>::room_at(const void* address, RegistryEntry entry) {
  if (STAVE_MUTANT(access_not_checked)) return kNoBound;
  if (!entry.is_chunk()) return room_in_large(address, entry);
  const Bounds slot = slot_around(here().constants, address_of(address), entry);
  const std::uintptr_t end = slot.start + slot.size;
  return end > address_of(address) ? end - address_of(address) : 0;
}

template <class S>
std::size_t Allocator<S>::room_in_large(const void* address, RegistryEntry entry) {
  if (entry.kind() == UnitKind::vacant) return 0;
  if (entry.kind() == UnitKind::sample) {
    const SampleRecord* const sample = samples.look(entry);
    if (sample == nullptr) return kNoBound;  // as below
    const std::size_t offset = address_of(address) - sample->base;
    const std::size_t size = sample->requested;
    return sample->state == SampleRecord::State::live && offset < size ? size - offset : 0;
  }
  const std::optional<LargeRecord> record = large.glimpse(entry);
  // Another thread is changing it: then it is not that of an allocation that the caller may use, or not any more.
  if (!record) return kNoBound;
  const std::size_t offset = address_of(address) - record->start();
  const std::size_t size = large.size(*record);
  return record->state == LargeRecord::State::live && offset < size ? size - offset : 0;
}

template <class S>
void* Allocator<S>::reallocate(ThreadHeap& heap, void* pointer, std::size_t size) {
  STAVE_KEEP_FRAME();
  const RegistryEntry entry = arena.registry.find(address_of(pointer));
  std::size_t copied = 0;
  if (entry.is_chunk()) {
    const SlotRef slot = live_slot(pointer, entry, Fault::freed_pointer);
    if (resize_slot(slot, size, &copied)) {
      if (!heap.is_busy()) ++heap.served;
      return pointer;
    }
  } else if (entry.kind() == UnitKind::sample) {
    // It ends where its request does: it stays for the same one only.
    copied = size_of_sample(pointer, Fault::freed_pointer, {});
    if (size == copied) return pointer;
  } else {
    if (entry.kind() == UnitKind::vacant) die_of_slot(pointer, Fault::freed_pointer);
    bool is_large = false;
    if (void* const block = resize_large(pointer, size, &is_large, &copied)) return block;
    if (!is_large) {
      (void)usable_size_of_foreign(pointer);  // says what is to be said of it
      return reallocate_foreign(pointer, size);
    }
  }
  void* const fresh = allocate(*this, heap, size);
  if (fresh == nullptr) return nullptr;
  sanitizer::copy_own(fresh, pointer, sanitizer::known_bytes(pointer, std::min(size, copied)));
  deallocate(*this, heap, pointer);
  return fresh;
}

template <class S>
bool Allocator<S>::resize_slot(const SlotRef& slot, std::size_t size, std::size_t* old_size) {
  const ContentRules& rules = constants.contents;
  const SlotNotes notes = notes_of(slot.chunk, slot.line, slot.place);
  if (!STAVE_MUTANT(end_not_checked_at_realloc) && !end_holds(rules, notes))
    die_of_contents(Fault::overflow, kEndChanged, slot, "live");
  if (!family_fits(rules, notes.family(), {})) die_of_claim(slot, {});
  *old_size = notes.size(rules);
  if (!fits_well(size, notes.capacity())) return false;
  if (rules.exact) {
    if (notes.slot_size - size > kMostSlack) return false;
    note_size(rules, notes, size);
  }
  sanitizer::mark_resized(notes.slot, size, notes.capacity());
  return true;
}

template <class S>
void* Allocator<S>::resize_large(void* pointer, std::size_t size, bool* is_large, std::size_t* old_size) {
  const ArenaLocked<S> locked(arena, constants);
  const RegistryEntry entry = arena.registry.find(address_of(pointer));
  *is_large = entry.kind() == UnitKind::large;
  if (!*is_large) return nullptr;
  LargeRecord* const record = large.find_live(pointer, entry, Fault::freed_pointer);
  large.check_claim(*record, {});
  *old_size = large.size(*record);
  if (size > static_cast<std::size_t>(PTRDIFF_MAX)) return nullptr;
  // What has shrunk to the size of a slot moves into one.
  if (class_for(size, kGrain) != kClassCount && !fits_well(size, record->usable)) return nullptr;
  void* const block = large.resize(record, size);
  if (block == nullptr) return nullptr;
  const LargeRecord& now = *large.find_live(block, arena.registry.find(address_of(block)), Fault::freed_pointer);
  sanitizer::mark_resized(block, size, now.capacity());
  return block;
}

template <class S>
void* Allocator<S>::allocate_zeroed(ThreadHeap& heap, std::size_t count, std::size_t size) {
  std::size_t bytes = 0;
  if (!multiply(count, size, &bytes)) return nullptr;
  if (void* const slot = allocate_fast(here().constants.contents, heap, bytes)) [[likely]]
    return make_zero(slot, bytes);
  return allocate_zeroed_slow(heap, bytes);
}

template <class S>
void* Allocator<S>::allocate_zeroed_slow(ThreadHeap& heap, std::size_t bytes) {
  STAVE_KEEP_FRAME();
  void* const memory = allocate_slow(heap, bytes);
  return memory == nullptr ? nullptr : make_zero(memory, bytes);
}

template <class S>
SizeClass Allocator<S>::class_for(std::size_t size, std::size_t alignment) const {
  // Slot 0 lies on a page, so slots are as aligned as their size is. Each power of two has a class.
  if (size == 0 && alignment <= kZeroSlot && constants.contents.zero_size_faults) return kZeroClass;
  if (size > kLargestSlot || alignment > constants.page) return kClassCount;
  const std::size_t wanted = (size == 0 ? 1 : size) + constants.contents.canary_extra;
  const std::size_t rounded = align_up(wanted, alignment);
  if (rounded > kLargestSlot) return kClassCount;
  SizeClass cls = size_class_for(rounded);
  while (cls != kSizedClasses && kSlotSizes[cls] % alignment != 0) ++cls;
  // Where pages have 64 KiB, a slot of one may be all slack.
  const bool noted = cls != kSizedClasses && (!constants.contents.exact || kSlotSizes[cls] - size <= kMostSlack);
  return noted ? cls : kClassCount;
}

template <class S>
void* Allocator<S>::allocate_aligned(ThreadHeap& heap, std::size_t alignment, Request request) {
  if (STAVE_MUTANT(wrong_alignment)) {
    if (alignment <= 4 * kGrain) alignment = kGrain;
  }
  if (alignment <= kGrain) return allocate(*this, heap, request);
  if (sample_due(heap)) [[unlikely]]
    if (void* const sample = allocate_sample(heap, request, alignment, __builtin_frame_address(0))) return sample;
  const SizeClass cls = class_for(request.size, alignment);
  if (cls == kClassCount) return allocate_large(heap, request, alignment);
  return allocate_in_class(heap, cls, request);
}

#define STAVE_SIZES(S)                                                                          \
  template SizeClass Allocator<S>::class_for(std::size_t, std::size_t) const;                   \
  template bool Allocator<S>::may_free_slot(const OpenChunk&, std::size_t, Claim) const;        \
  template bool Allocator<S>::size_claim_fits(const SlotNotes&, SizeClass, const Claim&) const; \
  template void Allocator<S>::deallocate_slow(ThreadHeap&, void*, Claim);                       \
  template void Allocator<S>::deallocate_elsewhere(ThreadHeap&, void*, Claim);                  \
  template std::size_t Allocator<S>::usable_size(const void*, Fault);                           \
  template bool Allocator<S>::bounds_of(const void*, void**, std::size_t*);                     \
  template std::size_t Allocator<S>::room_at(const void*, RegistryEntry);                       \
  template void* Allocator<S>::reallocate(ThreadHeap&, void*, std::size_t);                     \
  template void* Allocator<S>::allocate_zeroed(ThreadHeap&, std::size_t, std::size_t);          \
  template void* Allocator<S>::allocate_aligned(ThreadHeap&, std::size_t, Request);
STAVE_INSTANTIATE(STAVE_SIZES);

}  // namespace stave
