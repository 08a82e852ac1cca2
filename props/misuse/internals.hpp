// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For programs that damage what cannot be found from outside: they contain the library, and reach into its one
// allocator.
#pragma once

#include "heap/process.hpp"
#include "layout.hpp"

namespace misuse {

/// The record of a live large block.
[[nodiscard]] inline stave::LargeRecord& record_of(const void* block) {
  const stave::RegistryEntry entry = stave::g_process.arena.registry.find(reinterpret_cast<uintptr_t>(block));
  if (entry.kind() != stave::UnitKind::large) _exit(kNoMemory);
  return *opaque(stave::g_process.large.find_live(block, entry, stave::Fault::internal));
}

}  // namespace misuse
