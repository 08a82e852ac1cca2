// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The words of 64 slots, side by side in one cache line.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/bits.hpp"
#include "base/mutant.hpp"
#include "policy/keys.hpp"

namespace stave {

/// One bit per slot in each word.
///
///   slot state      live  held  marked  done
///   free            0     0     0       0
///   live            1     0     0       0        the program's
///   held            0     1     0       0        freed, not to be chosen yet
///   marked          1     0     1       0        a remote free has begun
///   done            1     0     1       1        the remote free is complete, the owner has not collected it
///
/// Invariants (verify() runs them):
///   L1  guard == guard_word(key, this, live, held); of an open chunk (heap/thread_heap.hpp), open_guard(key, this)
///   L2  live and held have no bit in common
///   L3  done is within marked, marked is within live
///   L4  no bit at or beyond the chunk's opened slots
///   L5  a canary's slot is live, and the canary holds
///   L6  where slots are zeroed when they are freed, one that is not live is zero
///
/// Who writes: live, held, guard, canary and family the owner only, with plain stores (live is read by others); marked
/// and done are set by others with atomic or, and cleared by the owner. Nobody but the owner writes a word that is
/// shared between slots in any other way.
struct alignas(64) SlotLine {
  std::atomic<std::uint64_t> live;
  std::uint64_t held;
  std::uint64_t guard;
  std::atomic<std::uint64_t> marked;
  std::atomic<std::uint64_t> done;
  std::atomic<std::uint64_t> canary;     ///< a canary lies at the slot's end; not guarded
  std::atomic<std::uint64_t> family[2];  ///< of a live slot: the two bits of its Family; not guarded
};
static_assert(sizeof(SlotLine) == 64);

/// The owner writes live, then held, then guard (or its copy of live), then done, then marked: a fork's child finds
/// any prefix of that and no other order, and repair_word knows each. Costs no instruction: the snapshot that fork
/// takes respects program order.
STAVE_FAST void keep_order() { std::atomic_signal_fence(std::memory_order_seq_cst); }

/// Ties live and held to one another and to their place; whoever changes a bit without the key breaks it.
STAVE_FAST std::uint64_t guard_word(const Key& key, const SlotLine* line, std::uint64_t live, std::uint64_t held) {
  return multiply_fold(live ^ key.a, held ^ key.b ^ address_of(line)) ^ key.b;
}

/// The guard word while copies in the chunk's heap take its place: of a state that cannot be. What it was when the
/// chunk was opened would fit that state again, to which whoever writes to the header can turn the words back.
STAVE_FAST std::uint64_t open_guard(const Key& key, const SlotLine* line) {
  return guard_word(key, line, ~std::uint64_t{0}, ~std::uint64_t{0});
}

/// Whether the marks of remote frees can be true: done within marked, marked within live. For the owner.
STAVE_FAST bool marks_fit(const SlotLine* line, std::uint64_t live) {
  if (STAVE_MUTANT(marks_not_checked)) return true;
  // done first: a freer marks before it is done.
  const std::uint64_t done = line->done.load(std::memory_order_acquire);
  const std::uint64_t marked = line->marked.load(std::memory_order_acquire);
  return ((done & ~marked) | (marked & ~live)) == 0;
}

STAVE_FAST bool guard_holds(const Key& key, const SlotLine* line, std::uint64_t live, std::uint64_t held) {
  if (STAVE_MUTANT(guard_word_not_checked)) return true;
  return line->guard == guard_word(key, line, live, held);
}

}  // namespace stave
