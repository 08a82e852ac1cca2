// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Frees by a thread that does not own the chunk, and their collection by the owner. The protocol and the proof of each
// order: props/protocol.
//
//   freer    1  live has the bit, or die                                     (acquire)
//            2  marked |= bit; had it already: die                           mark_remote
//            3  live still has the bit, or die
//            4  done |= bit; first of its word: pending |= word;             complete_remote
//               first of its chunk: push the chunk into the owner's inbox    signal_owner
//            then touch nothing of the chunk
//   owner    takes the whole inbox; of each chunk the pending words          drain_inbox
//            of each word: live &= ~done, held |= done, then done, then marked are cleared; again while done != 0
//
// A word is collected only when its one signal was received. So a word's done bits stay until whoever set the first of
// them has finished with the chunk, their live bits stay with them, and a chunk cannot become empty under a freer.
#include <atomic>
#include <bit>

#include "base/mutant.hpp"
#include "heap/allocator.hpp"
#include "heap/instantiate.hpp"
#include "os/sanitizer.hpp"

namespace stave {
namespace {

/// Steps 2 and 3: after it this thread alone may complete the free. false: somebody else freed the slot before.
[[nodiscard]] STAVE_FAST bool mark_remote(SlotLine* line, std::uint64_t bit) {
  // The old value is the exact check: of two freers one sees the other's mark.
  const std::uint64_t marked = line->marked.fetch_or(bit, std::memory_order_acq_rel);
  if (!STAVE_MUTANT(no_mark_check) && (marked & bit) != 0) return false;
  // The owner may have taken the slot back between step 1 and the mark. It cannot fire falsely: the owner collects only
  // what is done, and this free is not.
  return (line->live.load(std::memory_order_acquire) & bit) != 0;
}

/// The first half of step 4. \return whether this freer must signal the owner.
[[nodiscard]] STAVE_FAST bool complete_remote(Chunk* chunk, SlotLine* line, std::uint64_t bit) {
  // Release: whatever the program did with the slot comes before the owner may hand it out again. Acquire: a freer that
  // finds done bits set relies on their signal.
  if (line->done.fetch_or(bit, std::memory_order_acq_rel) != 0) return false;
  const auto word = static_cast<unsigned>(line - chunk->lines());
  return chunk->pending.fetch_or(std::uint64_t{1} << word, std::memory_order_acq_rel) == 0;
}

}  // namespace

template <class S>
void Allocator<S>::signal_owner(ThreadHeap& owner, Chunk* chunk) {
  Chunk* head = owner.inbox.load(std::memory_order_relaxed);
  do {
    chunk->inbox_next.store(head, std::memory_order_relaxed);
    // Release: the owner that takes the stack sees inbox_next. ABA is harmless: nobody pops a single chunk.
  } while (!owner.inbox.compare_exchange_weak(head, chunk, std::memory_order_release, std::memory_order_relaxed));
}

template <class S>
void Allocator<S>::remote_free(void* pointer, const SlotRef& slot, Claim claim) {
  Chunk* const chunk = slot.chunk;
  SlotLine* const line = slot.line;
  const std::uint64_t bit = slot.bit();
  ThreadHeap& owner = *static_cast<ThreadHeap*>(chunk->owner);
  if (owner.generation.load(std::memory_order_acquire) != generation.load(std::memory_order_relaxed)) [[unlikely]] {
    sweep_if_torn(owner);
  }
  if (STAVE_MUTANT(second_free_local_remote) && (line->live.load(std::memory_order_acquire) & bit) == 0) return;
  if ((line->live.load(std::memory_order_acquire) & bit) == 0) [[unlikely]] {
    die_of_slot(pointer, Fault::double_free);
  }
  const SlotNotes notes = notes_of(chunk, line, slot.place);
  if (!STAVE_MUTANT(claim_not_checked_at_remote_free) && !claim_fits(notes, chunk->size_class(), claim)) [[unlikely]]
    die_of_claim(slot, claim);
  // For a fork's child, which repairs only chunks and processes where marks can be. Ordered before the mark by its
  // release.
  if (chunk->visited.load(std::memory_order_relaxed) == 0) [[unlikely]] {
    remote_seen.store(true, std::memory_order_relaxed);
    chunk->visited.store(1, std::memory_order_relaxed);
  }
  yield("remote-free-before-mark");
  if (!mark_remote(line, bit)) [[unlikely]]
    die_of_slot(pointer, Fault::double_free);
  // The slot is this thread's alone now. Its owner zeroes it: here that could meet the next user, if the owner frees it
  // as well at this moment.
  if (!STAVE_MUTANT(end_not_checked_at_remote_free) && !end_holds(constants.contents, notes)) [[unlikely]]
    die_of_contents(Fault::overflow, kEndChanged, slot, "marked");
  sanitizer::mark_free(pointer, notes.slot_size);
  yield("remote-free-before-done");
  if (STAVE_MUTANT(forget_remote_free) && bit == 1U << 7) return;
  if (!complete_remote(chunk, line, bit)) return;
  yield("remote-free-before-signal");
  signal_owner(owner, chunk);
}

template <class S>
void Allocator<S>::clear_slots(Chunk* chunk, SlotLine* line, std::uint64_t slots) {
  drop_canaries(line, slots);
  if (constants.contents.zero_mask == 0) return;
  if (STAVE_MUTANT(collected_slot_not_zeroed)) return;
  for (std::uint64_t left = slots; left != 0; left &= left - 1) {
    const auto place = static_cast<std::uint64_t>(std::countr_zero(left));
    zero_slot(constants.contents, slot_in(chunk, line, place), constants.shapes[chunk->size_class()].content_bytes);
  }
  keep_order();
}

template <class S>
void Allocator<S>::collect_word(ThreadHeap& heap, Chunk* chunk, std::uint32_t line_index) {
  SlotLine* const line = chunk->lines() + line_index;
  const SizeClass cls = chunk->size_class();
  for (;;) {
    const std::uint64_t done = line->done.load(std::memory_order_acquire);
    if (done == 0) return;
    const std::uint64_t live = line->live.load(std::memory_order_relaxed);
    const std::uint64_t held = line->held;
    yield("collect-before-clear");
    OpenWord* const open = open_word(heap, cls, chunk, line);
    if (!marks_fit(line, live) || !free_in_word(chunk, open, line, live, held, done)) [[unlikely]] {
      die_in_chunk(Fault::corrupt_bitmap, "the words of a bitmap do not fit together", chunk, line);
    }
    keep_order();
    // done before marked: a slot whose mark is gone while it is still done would look like a forged bit.
    const std::uint64_t left = line->done.fetch_and(~done, std::memory_order_acq_rel) & ~done;
    yield("collect-before-unmark");
    line->marked.fetch_and(~done, std::memory_order_acq_rel);
    // This may give the chunk back, if nothing is left of it: `left` is the last word on that.
    gained(heap, chunk, count_bits(done));
    if (left == 0) return;
  }
}

template <class S>
void Allocator<S>::drain_inbox(ThreadHeap& heap) {
  if (heap.inbox.load(std::memory_order_relaxed) == nullptr) return;
  // Acquire pairs with the push: inbox_next is seen. Everything else of a chunk is ordered by its own words.
  for (Chunk* chunk = heap.inbox.exchange(nullptr, std::memory_order_acquire); chunk != nullptr;) {
    const RegistryEntry entry = arena.registry.find(address_of(chunk));
    if (!STAVE_MUTANT(inbox_not_checked) && (!entry.is_chunk() || header_of(entry) != chunk ||
                                             !header_holds_for(constants.keys.header, chunk, entry, &heap)))
        [[unlikely]] {
      die_in_chunk(Fault::corrupt_list, "an inbox leads to what is not a chunk of its heap", nullptr, chunk);
    }
    // Read before `pending` is taken: from then on the next freer may push the chunk again.
    Chunk* const next = chunk->inbox_next.load(std::memory_order_relaxed);
    yield("drain-before-pending");
    std::uint64_t words = chunk->pending.exchange(0, std::memory_order_acq_rel);
    const auto lines = static_cast<std::uint32_t>(constants.shapes[entry.size_class()].line_count());
    // None: it stands in the inbox twice, which then has no end.
    if (!STAVE_MUTANT(pending_not_checked) && (words == 0 || (words & ~low_bits(lines)) != 0)) [[unlikely]] {
      die_in_chunk(Fault::corrupt_bitmap, "a chunk in an inbox has no words to collect, or more than it has", chunk,
                   chunk);
    }
    for (; words != 0; words &= words - 1) {
      collect_word(heap, chunk, static_cast<std::uint32_t>(std::countr_zero(words)));
    }
    chunk = next;
  }
}

#define STAVE_REMOTE_FREE(S)                                                    \
  template void Allocator<S>::remote_free(void*, const SlotRef&, Claim);        \
  template void Allocator<S>::clear_slots(Chunk*, SlotLine*, std::uint64_t);    \
  template void Allocator<S>::collect_word(ThreadHeap&, Chunk*, std::uint32_t); \
  template void Allocator<S>::drain_inbox(ThreadHeap&);                         \
  template void Allocator<S>::signal_owner(ThreadHeap&, Chunk*);
STAVE_INSTANTIATE(STAVE_REMOTE_FREE);

}  // namespace stave
