// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Heaps and their threads: who owns which, and what becomes of a heap whose thread has ended.
#include <algorithm>

#include "base/mutant.hpp"
#include "heap/allocator.hpp"
#include "heap/instantiate.hpp"

namespace stave {

constinit const ThreadHeap g_no_heap{.busy = 1};

template <class S>
void* Allocator<S>::own_memory(std::size_t bytes) {
  void* const memory = arena.metadata(bytes);
  return memory == nullptr && large.flush_held() ? arena.metadata(bytes) : memory;
}

template <class S>
ThreadHeap* Allocator<S>::make_heap() {
  auto* const heap =
      static_cast<ThreadHeap*>(own_memory(align_up(sizeof(ThreadHeap), constants.page)));  // zeroed: an empty heap
  if (heap == nullptr) return nullptr;
  heap->index = heap_count++;
  heap->random.start(random.take_seed(), heap->index);
  heap->generation.store(generation.load(std::memory_order_relaxed), std::memory_order_relaxed);
  heap->trims = trims.load(std::memory_order_relaxed);
  heap->recent = heap->cursors;
  for (OpenChunk*& open : heap->nearby) open = &heap->nothing;
  heap->next = heaps;
  heaps = heap;
  return heap;
}

template <class S>
template <class Wanted>
ThreadHeap* Allocator<S>::claim_orphan(Wanted wanted) {
  for (ThreadHeap** link = &orphans; *link != nullptr; link = &(*link)->next_orphan) {
    ThreadHeap* const heap = *link;
    if (!wanted(*heap)) continue;
    unlink_orphan(link);
    sweep_torn_heap(*heap);
    return heap;
  }
  return nullptr;
}

template <class S>
ThreadHeap* Allocator<S>::claim_lost() {
  // New heaps are linked in front, so one pass over the old ones does.
  const std::uint32_t now = generation.load(std::memory_order_relaxed);
  while (unswept != nullptr) {
    ThreadHeap* const heap = unswept;
    unswept = heap->next;
    // One that was swept for a remote free meanwhile is found among the orphans, or is taken.
    if (heap->orphan || heap->generation.load(std::memory_order_relaxed) == now) continue;
    sweep_torn_heap(*heap);
    return heap;
  }
  return nullptr;
}

template <class S>
ThreadHeap* Allocator<S>::take_heap(bool shared) {
  ThreadHeap* heap = claim_orphan([shared](const ThreadHeap& orphan) { return orphan.shared == shared; });
  if (heap == nullptr) heap = claim_lost();
  if (heap == nullptr) heap = make_heap();
  if (heap == nullptr) return nullptr;
  heap->shared = shared;
  return heap;
}

template <class S>
ThreadHeap* Allocator<S>::adopt_heap() {
  const ArenaLocked<S> locked(arena, constants);
  ThreadHeap* const heap = take_heap(false);
  if (heap == nullptr) return nullptr;
  for (std::uint8_t& calls : heap->lent) calls = 0;
  if (STAVE_MUTANT(adoption_loses_chunk)) {
    for (ClassChunks& chunks : heap->classes) {
      if (chunks.full != nullptr) --chunks.chunks, unlink(*heap, chunks.full);
    }
  }
  return heap;
}

template <class S>
ThreadHeap* Allocator<S>::borrow_heap(ThreadHeap& borrower) {
  // Signals are blocked under the lock: a handler that forks finds the heap with its borrower, or with nobody.
  const ArenaLocked<S> locked(arena, constants);
  ThreadHeap* const heap = take_heap(true);
  borrower.borrowed.store(heap, std::memory_order_relaxed);
  return heap;
}

template <class S>
void Allocator<S>::return_heap(ThreadHeap& borrower) {
  const ArenaLocked<S> locked(arena, constants);
  link_orphan(*borrower.borrowed.exchange(nullptr, std::memory_order_relaxed));
}

template <class S>
void Allocator<S>::orphan_heap(ThreadHeap& heap) {
  if (ThreadHeap* const nested = heap.nested.exchange(nullptr, std::memory_order_relaxed)) orphan_heap(*nested);
  // Asked now: once it is an orphan, it may be another thread's.
  const bool borrowed = std::any_of(heap.lent, heap.lent + kClassCount, [](std::uint8_t calls) { return calls != 0; });
  // The next thread will want what this one had. But no more than a few heaps wait with their memory: they stand first.
  constexpr std::uint32_t kWarm = 2;
  bool warm = false;
  {
    const ArenaLocked<S> locked(arena, constants);
    warm = warm_orphans < kWarm;
    if (warm) {
      heap.warm = true;
      link_orphan(heap);
    }
  }
  if (!warm) {
    (void)give_back_empty(heap);
    put_orphan(heap);
  }
  // What the thread had from shared heaps it has freed, as a rule, and nobody may want anything of them for long.
  if (borrowed) drain_shared();
}

template <class S>
void Allocator<S>::drain_shared() {
  ThreadHeap* heap = nullptr;
  {
    const ArenaLocked<S> locked(arena, constants);
    heap = claim_orphan([](const ThreadHeap& orphan) {
      return orphan.shared && orphan.inbox.load(std::memory_order_relaxed) != nullptr;
    });
  }
  if (heap == nullptr) return;
  heap->enter();
  drain_inbox(*heap);
  heap->leave();
  put_orphan(*heap);
}

template <class S>
void Allocator<S>::put_orphan(ThreadHeap& heap) {
  yield("orphan-before-lock");
  const ArenaLocked<S> locked(arena, constants);
  link_orphan(heap);
}

template <class S>
void Allocator<S>::link_orphan(ThreadHeap& heap) {
  // Shared ones first, then warm ones: each is looked for at its turn's beginning.
  ThreadHeap** link = &orphans;
  const auto behind = [&link](bool ThreadHeap::*kind) {
    while (*link != nullptr && (*link)->*kind) link = &(*link)->next_orphan;
  };
  if (!heap.shared) behind(&ThreadHeap::shared);
  if (!heap.shared && !heap.warm) behind(&ThreadHeap::warm);
  heap.orphan = true;
  heap.next_orphan = *link;
  *link = &heap;
  if (heap.warm) ++warm_orphans;
}

template <class S>
void Allocator<S>::unlink_orphan(ThreadHeap** link) {
  ThreadHeap* const heap = *link;
  *link = heap->next_orphan;
  if (heap->warm) --warm_orphans;
  heap->warm = false;
  heap->orphan = false;
  heap->next_orphan = nullptr;
}

template <class S>
ThreadHeap* Allocator<S>::nested_heap(ThreadHeap& heap) {
  ThreadHeap* candidate = &heap;
  while (candidate->is_busy()) {
    ThreadHeap* next = candidate->nested.load(std::memory_order_relaxed);
    if (next == nullptr) {
      ThreadHeap* const adopted = adopt_heap();
      if (adopted == nullptr) return nullptr;
      // A signal may have come in between and done the same: its heap stays, ours goes back.
      if (candidate->nested.compare_exchange_strong(next, adopted, std::memory_order_relaxed)) {
        next = adopted;
      } else {
        orphan_heap(*adopted);
      }
    }
    candidate = next;
  }
  return candidate;
}

template <class S>
bool Allocator<S>::drain_orphan() {
  ThreadHeap* heap = nullptr;
  {
    const ArenaLocked<S> locked(arena, constants);
    // Claimed: nobody adopts it meanwhile.
    heap =
        claim_orphan([](const ThreadHeap& orphan) { return orphan.inbox.load(std::memory_order_relaxed) != nullptr; });
  }
  if (heap == nullptr) return false;
  const bool any = give_back_empty(*heap);
  put_orphan(*heap);
  return any;
}

template <class S>
bool Allocator<S>::trim(ThreadHeap* heap) {
  const std::uint32_t turn = trims.fetch_add(1, std::memory_order_relaxed) + 1;
  bool any = false;
  if (heap != nullptr && !heap->is_busy()) {
    heap->trims = turn;
    any = give_back_all(*heap);
  }
  {
    const ArenaLocked<S> locked(arena, constants);
    // Heaps that a fork left behind and nobody has taken yet are orphans like the others.
    while (ThreadHeap* const lost = claim_lost()) link_orphan(*lost);
    for (ThreadHeap* orphan = orphans; orphan != nullptr; orphan = orphan->next_orphan) orphan->warm = false;
    warm_orphans = 0;
  }
  for (;;) {
    ThreadHeap* claimed = nullptr;
    {
      const ArenaLocked<S> locked(arena, constants);
      claimed = claim_orphan([turn](const ThreadHeap& orphan) { return orphan.trims != turn; });
      if (claimed == nullptr) break;
      claimed->trims = turn;
    }
    any = give_back_all(*claimed) || any;
    put_orphan(*claimed);
  }
  const ArenaLocked<S> locked(arena, constants);
  return large.flush_held() || any;
}

#define STAVE_HEAP_TABLE(S)                                    \
  template ThreadHeap* Allocator<S>::adopt_heap();             \
  template void* Allocator<S>::own_memory(std::size_t);        \
  template void Allocator<S>::put_orphan(ThreadHeap&);         \
  template void Allocator<S>::link_orphan(ThreadHeap&);        \
  template void Allocator<S>::unlink_orphan(ThreadHeap**);     \
  template void Allocator<S>::orphan_heap(ThreadHeap&);        \
  template ThreadHeap* Allocator<S>::borrow_heap(ThreadHeap&); \
  template void Allocator<S>::return_heap(ThreadHeap&);        \
  template ThreadHeap* Allocator<S>::nested_heap(ThreadHeap&); \
  template bool Allocator<S>::drain_orphan();                  \
  template bool Allocator<S>::trim(ThreadHeap*);
STAVE_INSTANTIATE(STAVE_HEAP_TABLE);

}  // namespace stave
