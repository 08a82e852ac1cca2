// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The choke point: from a program's pointer to a slot.
#pragma once

#include <optional>

#include "base/mutant.hpp"
#include "heap/allocator.hpp"

namespace stave {

/// The slot of a chunk that begins at `pointer`, if one does. pre: the header of the chunk verified.
STAVE_FAST std::optional<SlotRef> slot_at(const ClassShape& shape, Chunk* chunk, const void* pointer) {
  const std::uintptr_t offset = address_of(pointer) - align_down(address_of(chunk), kUnit) - shape.slots_offset;
  if (offset >= shape.slots_bytes) [[unlikely]]
    return std::nullopt;
  const SlotIndex slot = slot_index(shape.reciprocal, offset);
  if (!STAVE_MUTANT(interior_not_checked) && !slot.exact) [[unlikely]]
    return std::nullopt;
  return SlotRef{chunk, chunk->lines() + slot.index / 64, slot.index % 64};
}

/// Dies unless `pointer` is the start of a slot in a chunk of ours whose header is what the registry and its seal say.
/// All that is read before is the registry. pre: entry is the pointer's and is_chunk().
template <class S>
STAVE_FAST SlotRef resolve(Allocator<S>& allocator, const void* pointer, RegistryEntry entry, Fault freed_fault) {
  Chunk* const chunk = header_of(entry);
  if (!header_holds(allocator.constants.keys.header, chunk, entry)) [[unlikely]] {
    allocator.die_in_chunk(Fault::corrupt_header, "the seal of a chunk's header does not verify", chunk, pointer);
  }
  const std::optional<SlotRef> slot = slot_at(allocator.constants.shapes[entry.size_class()], chunk, pointer);
  if (!slot) [[unlikely]]
    allocator.die_of_slot(pointer, freed_fault);
  return *slot;
}

}  // namespace stave
