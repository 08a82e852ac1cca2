// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a failed check to a fault record: off the fast paths, so that each can say all that is known.
#include <algorithm>
#include <bit>
#include <optional>

#include "base/mutant.hpp"
#include "heap/allocator.hpp"
#include "heap/instantiate.hpp"

namespace stave {
namespace {

/// What is known of a fault at a slot whose chunk's header verified.
FaultRecord fault_at(Fault fault, const char* rule, const SlotRef& slot, char* start, std::size_t slot_size) {
  return {.fault = fault,
          .rule = rule,
          .address = start,
          .chunk = slot.chunk->start(),
          .slot_size = slot_size,
          .slot = static_cast<std::size_t>(slot.line - slot.chunk->lines()) * 64 + slot.place};
}

/// What stands from `at` to the end of a slot, as far as `left(i)` is not what was left in its byte i.
template <class Left>
Written written_from(const char* slot, std::size_t at, std::size_t slot_size, Left left) {
  Written written{};
  written.count = std::min(slot_size - at, Written::kMost);
  for (std::size_t i = 0; i != written.count; ++i) {
    const auto byte = static_cast<unsigned char>(slot[at + i]);
    if (byte == left(at + i)) continue;
    written.told |= 1U << i;
    written.bytes[i] = byte;
  }
  return written;
}

}  // namespace

/// What is remembered of the latest allocation in a slot, into a report.
template <class S>
void Allocator<S>::tell_request(const SlotRef& slot, FaultRecord* record) const {
  const ContentRules& rules = constants.contents;
  const SlotNotes notes = notes_of(slot.chunk, slot.line, slot.place);
  if (!rules.exact || *notes.slack > notes.slot_size) return;
  record->requested = notes.size(rules);
  record->family = family_name(rules.families ? notes.family() : Family::malloc);
}

template <class S>
void Allocator<S>::die_at(Fault fault, const char* rule, const void* pointer) {
  constants.die({.fault = fault, .rule = rule, .address = pointer});
}

template <class S>
void Allocator<S>::die_in_chunk(Fault fault, const char* rule, const Chunk* chunk, const void* where) {
  FaultRecord record{.fault = fault, .rule = rule, .address = where};
  // The chunk may be anything: only what the registry says of it is believed.
  const RegistryEntry entry = arena.registry.find(address_of(chunk != nullptr ? chunk : where));
  if (entry.is_chunk()) {
    record.chunk = reinterpret_cast<void*>(entry.start());
    record.slot_size = kSlotSizes[entry.size_class()];
    const std::uintptr_t offset =
        address_of(where) - address_of(record.chunk) - constants.shapes[entry.size_class()].slots_offset;
    if (offset < constants.shapes[entry.size_class()].slots_bytes) record.slot = offset / record.slot_size;
  }
  constants.die(record);
}

template <class S>
void Allocator<S>::die_of_slot(const void* pointer, Fault freed_fault) {
  const std::uintptr_t address = address_of(pointer);
  const RegistryEntry entry = arena.registry.find(address);
  const ClassShape& shape = constants.shapes[entry.size_class()];
  const std::uintptr_t start = entry.start();
  FaultRecord record{.address = pointer, .chunk = reinterpret_cast<void*>(start), .slot_size = shape.slot_size};
  const std::uintptr_t offset = address - start - shape.slots_offset;
  const bool misaligned = !STAVE_MUTANT(misaligned_not_told) && address % 8 != 0;
  if (offset >= shape.slots_bytes) {
    record.fault = misaligned ? Fault::misaligned_pointer : Fault::interior_pointer;
    record.rule = "the address lies in a chunk's header, guard page or rest, where no slot begins";
    constants.die(record);
  }
  const SlotIndex slot = slot_index(shape.reciprocal, offset);
  record.slot = slot.index;
  record.state = state_of(entry, slot.index);
  if (entry.kind() != UnitKind::vacant) {
    const Chunk* const chunk = header_of(entry);
    const bool live = has_bit(chunk->lines()[slot.index / 64].live.load(std::memory_order_relaxed), slot.index % 64);
    const bool is_new = !STAVE_MUTANT(never_allocated_not_told) && slot.exact && slot.index >= chunk->opened && !live;
    if (is_new) {
      record.fault = Fault::never_allocated;
      record.rule = "the slot lies beyond the opened part of its chunk";
      constants.die(record);
    }
  }
  if (!slot.exact) {
    record.fault = misaligned ? Fault::misaligned_pointer : Fault::interior_pointer;
    record.rule = "the address is not the start of its slot";
  } else {
    record.fault = freed_fault;
    record.rule = "the slot is not live";
    if (entry.kind() != UnitKind::vacant) {
      Chunk* const chunk = header_of(entry);
      tell_request({chunk, chunk->lines() + slot.index / 64, slot.index % 64}, &record);
    }
  }
  constants.die(record);
}

template <class S>
void Allocator<S>::die_of_contents(Fault fault, const char* rule, const SlotRef& slot, const char* state) {
  const SlotNotes notes = notes_of(slot.chunk, slot.line, slot.place);
  const std::size_t slot_size = notes.slot_size;
  char* const start = notes.slot;
  std::size_t changed = 0;
  Written written{};
  if (fault == Fault::overflow) {
    const ContentRules& rules = constants.contents;
    // The first byte that is not as it was left; none: what is remembered of the size was changed.
    changed = std::min(notes.size(rules), notes.capacity());
    const std::size_t filled = rules.exact ? notes.filled_to() : changed;
    while (changed < filled && start[changed] == static_cast<char>(rules.slack_word)) ++changed;
    if (changed >= filled && has_canary(slot.line, slot.place)) {
      const std::uint64_t* const canary = canary_place(start, slot_size);
      const auto bit = std::countr_zero(*canary ^ canary_of(rules.canary, canary));
      changed = slot_size - kCanaryBytes + static_cast<std::size_t>(bit) / 8;
    }
    const bool has = has_canary(slot.line, slot.place);
    std::uint64_t canary = 0;
    if (has) canary = canary_of(rules.canary, canary_place(start, slot_size));
    written = written_from(start, changed, slot_size, [&](std::size_t i) {
      const std::size_t in_canary = has ? i + kCanaryBytes - slot_size : kCanaryBytes;
      if (in_canary < kCanaryBytes) return static_cast<unsigned char>(canary >> 8 * in_canary);
      return static_cast<unsigned char>(i < filled ? rules.slack_word : 0);
    });
  } else {
    while (changed + 1 < slot_size && start[changed] == 0) ++changed;
    written = written_from(start, changed, slot_size, [](std::size_t) { return static_cast<unsigned char>(0); });
  }
  FaultRecord record = fault_at(fault, rule, slot, start, slot_size);
  record.state = state;
  record.changed = start + changed;
  record.written = written;
  tell_request(slot, &record);
  constants.die(record);
}

template <class S>
void Allocator<S>::die_of_front(const SlotRef& slot) {
  const std::size_t slot_size = constants.shapes[slot.chunk->size_class()].slot_size;
  char* const start = slot_in(slot.chunk, slot.line, slot.place);
  const SlotRef before{slot.chunk, slot.line, slot.place - 1};
  // Who came from the slot before went over the first half of its canary; who came from this one need not have.
  const std::uint64_t* const canary = canary_place(start - slot_size, slot_size);
  const auto first_half = static_cast<std::uint32_t>(*canary ^ canary_of(constants.contents.canary, canary));
  if (first_half != 0) die_of_contents(Fault::overflow, kEndChanged, before, "live");
  FaultRecord record =
      fault_at(Fault::underflow, "the canary in front of the slot was changed, from behind", slot, start, slot_size);
  record.state = "live";
  tell_request(slot, &record);
  constants.die(record);
}

template <class S>
void Allocator<S>::die_of_claim(const SlotRef& slot, const Claim& claim) {
  const SlotNotes notes = notes_of(slot.chunk, slot.line, slot.place);
  const Mismatch mismatch = mismatch_of(constants.contents, notes.family(), notes.slot, claim);
  FaultRecord record = fault_at(mismatch.fault, mismatch.rule, slot, notes.slot, kSlotSizes[slot.chunk->size_class()]);
  record.state = "live";
  tell_request(slot, &record);
  constants.die(record);
}

template <class S>
FaultRecord Allocator<S>::describe(const void* address) {
  const RegistryEntry entry = arena.registry.find(address_of(address));
  const SampleRecord* const sample = entry.kind() == UnitKind::sample ? samples.look(entry) : nullptr;
  FaultRecord record = sample != nullptr ? samples.describe(*sample) : FaultRecord{};
  record.address = address;
  record.rule = "the memory was freed";
  if (entry.kind() == UnitKind::large) {
    record.large = true;
    if (const std::optional<LargeRecord> block = large.glimpse(entry)) {
      record.chunk = reinterpret_cast<void*>(block->mapping);
      record.slot_size = block->usable;
      record.state = block->state == LargeRecord::State::live ? "live" : "held";
      if (block->state == LargeRecord::State::live) record.rule = "the memory lies outside of the large block";
    }
  } else if (entry.is_chunk() || entry.kind() == UnitKind::vacant) {
    const ClassShape& shape = constants.shapes[entry.size_class()];
    record.chunk = reinterpret_cast<void*>(entry.start());
    record.slot_size = shape.slot_size;
    const std::uintptr_t offset = address_of(address) - entry.start() - shape.slots_offset;
    if (offset >= shape.slots_bytes) {
      record.rule = "the memory is a chunk's header, guard page or rest, and no allocation's";
    } else {
      record.slot = slot_index(shape.reciprocal, offset).index;
      record.state = state_of(entry, record.slot);
    }
  }
  void* start = nullptr;
  if (bounds_of(address, &start, &record.allocation_bytes)) {
    record.rule = "the memory reaches beyond the end of the allocation";
    record.allocation = start;
  }
  return record;
}

template <class S>
void Allocator<S>::die_of_access(const Access& access) {
  FaultRecord record = describe(access.address);
  record.fault = Fault::out_of_bounds_copy;
  record.function = access.function;
  record.access = access.kind;
  record.bytes = access.bytes;
  constants.die(record);
}

template <class S>
const char* Allocator<S>::state_of(RegistryEntry entry, std::size_t slot) const {
  if (entry.kind() == UnitKind::vacant) return "free";
  const Chunk* const chunk = header_of(entry);
  const SlotLine& line = chunk->lines()[slot / 64];
  if (has_bit(line.marked.load(std::memory_order_relaxed), slot % 64)) return "marked";
  if (has_bit(line.live.load(std::memory_order_relaxed), slot % 64)) return "live";
  if (slot >= chunk->opened) return "never-used";
  if (!header_holds(constants.keys.header, chunk, entry)) return "free";  // its owner may be anything
  return has_bit(held_in(*static_cast<const ThreadHeap*>(chunk->owner), chunk, &line), slot % 64) ? "held" : "free";
}

template <class S>
void Allocator<S>::die_at_hand_out(const Cursor& cursor) {
  const bool holds = cursor.word->holds(cursor.line->live.load(std::memory_order_relaxed), cursor.line->held);
  die_in_chunk(Fault::corrupt_bitmap,
               holds ? "a slot that is not live has a mark of a remote free" : "a bitmap is not as its owner left it",
               nullptr, cursor.line);
}

#define STAVE_FAULTS(S)                                                                         \
  template void Allocator<S>::die_at(Fault, const char*, const void*);                          \
  template void Allocator<S>::die_in_chunk(Fault, const char*, const Chunk*, const void*);      \
  template void Allocator<S>::die_of_slot(const void*, Fault);                                  \
  template void Allocator<S>::die_of_contents(Fault, const char*, const SlotRef&, const char*); \
  template void Allocator<S>::die_of_front(const SlotRef&);                                     \
  template void Allocator<S>::die_of_claim(const SlotRef&, const Claim&);                       \
  template FaultRecord Allocator<S>::describe(const void*);                                     \
  template void Allocator<S>::die_of_access(const Access&);                                     \
  template void Allocator<S>::die_at_hand_out(const Cursor&);
STAVE_INSTANTIATE(STAVE_FAULTS);

}  // namespace stave
