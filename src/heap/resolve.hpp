// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The choke point: from a program's pointer to a slot.
#pragma once

#include "heap/allocator.hpp"

namespace stave {

/// A slot whose chunk's header verified. Its state is not judged.
struct SlotRef {
  Chunk* chunk;
  SlotLine* line;
  std::uint64_t bit;    ///< the slot's in each word of the line
  std::uint32_t index;  ///< of the line in the chunk
};

/// Dies unless `pointer` is the start of a slot in a chunk of ours whose header is what the registry and its seal say.
/// All that is read before is the registry. pre: entry is the pointer's and is_chunk().
template <class S>
STAVE_FAST SlotRef resolve(Allocator<S>& allocator, const void* pointer, RegistryEntry entry, Fault freed_fault) {
  const std::uintptr_t address = address_of(pointer);
  const ClassShape& shape = allocator.constants.shapes[entry.size_class()];
  Chunk* const chunk = header_at(address, entry);
  if (!header_holds(allocator.constants.keys.header, chunk, entry)) [[unlikely]] {
    allocator.die_in_chunk(Fault::corrupt_header, "the seal of a chunk's header does not verify", chunk, pointer);
  }
  const std::uintptr_t offset = address - align_down(address_of(chunk), kUnit) - shape.slots_offset;
  if (offset >= shape.slots_bytes) [[unlikely]]
    allocator.die_of_slot(pointer, freed_fault);
  const SlotIndex slot = slot_index(shape, static_cast<std::uint32_t>(offset));
  if (!slot.exact) [[unlikely]]
    allocator.die_of_slot(pointer, freed_fault);
  return {chunk, chunk->lines() + slot.index / 64, std::uint64_t{1} << (slot.index & 63), slot.index / 64};
}

}  // namespace stave
