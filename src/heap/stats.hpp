// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once

#include <cstddef>
#include <cstdint>

namespace stave {

/// Counts of a whole allocator at one moment. Exact while no other thread is inside it.
struct Stats {
  std::uint64_t live_allocations = 0;  ///< slots, large blocks and samples that the program holds
  std::uint64_t live_bytes = 0;        ///< their usable sizes added up
  std::uint64_t held_slots = 0;        ///< freed and not to be chosen yet
  std::uint64_t chunks = 0;            ///< chunks owned by a thread heap
  std::uint64_t vacant_chunks = 0;     ///< empty chunks whose memory was given back
  std::uint64_t large_blocks = 0;      ///< live large blocks
  std::uint64_t large_bytes = 0;       ///< their usable sizes added up
  std::uint64_t samples = 0;           ///< live guarded samples
  std::uint64_t sample_bytes = 0;      ///< their requests added up
  std::uint64_t heaps = 0;             ///< thread heaps ever made
  std::uint64_t mapped_bytes = 0;      ///< address space in use by spans, large blocks and metadata
  std::uint64_t guards_installed = 0;  ///< guard pages laid, at present
  std::uint64_t guards_skipped = 0;    ///< guard pages that the budget or the kernel refused, since start
  std::uint64_t calls_served = 0;      ///< calls that were given memory since the start; a realloc in place is one
};

/// What the kernel has given memory to. It is asked page by page: a millisecond for a GiB.
struct Resident {
  std::uint64_t chunks_bytes = 0;  ///< chunks, records and the registry
  std::uint64_t large_bytes = 0;   ///< large blocks, live or held
  std::uint64_t sample_bytes = 0;  ///< live guarded samples, as if all of their pages had memory
};

}  // namespace stave
