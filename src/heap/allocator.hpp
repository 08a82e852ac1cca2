// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A whole allocator: constants, arena, large blocks, and the table of thread heaps.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/attributes.hpp"
#include "base/mutant.hpp"
#include "chunk/arena.hpp"
#include "chunk/constants.hpp"
#include "chunk/slot_notes.hpp"
#include "heap/large.hpp"
#include "heap/samples.hpp"
#include "heap/stats.hpp"
#include "heap/thread_heap.hpp"
#include "heap/verify.hpp"

namespace stave {

/// A slot whose chunk's header verified. Its state is not judged.
struct SlotRef {
  Chunk* chunk;
  SlotLine* line;
  std::uint64_t place;  ///< the slot's bit in each word of the line

  [[nodiscard]] std::uint64_t bit() const { return std::uint64_t{1} << place; }
};

/// The rule of die_of_contents when a canary or the slack in front of it does not hold.
inline constexpr const char* kEndChanged = "what lies behind the allocation in its slot was changed";

/// What a memory function is about to do.
struct Access {
  const char* function;
  const char* kind;  ///< "read" or "write"
  const void* address;
  std::size_t bytes;
};

/// Room that nothing is known of.
inline constexpr std::size_t kNoBound = SIZE_MAX;

template <class S>
struct Allocator;

/// Starts itself at the first allocation, whichever thread makes it, before constructors if need be.
extern Allocator<ProcessStorage> g_process;

/// S is ProcessStorage for the one allocator of the process, whose address the compiler then knows, or InstanceStorage.
///
/// Functions below `public` are grouped by file. `heap` is always the calling thread's own.
template <class S>
struct Allocator {
  alignas(kLargestPage) Constants constants;  // pages of its own: read-only after the start
  alignas(kLargestPage) Arena<S> arena;
  LargeBlocks<S> large;
  Samples<S> samples;

  // The table of heaps; under the arena's lock, but for generation.
  ThreadHeap* heaps = nullptr;
  ThreadHeap* orphans = nullptr;
  ThreadHeap* unswept = nullptr;  ///< after a fork: the first heap that adopt_heap has not looked at yet
  std::uint32_t heap_count = 0;
  std::uint32_t warm_orphans = 0;
  Random random;
  /// Forks behind us. A heap whose own count is behind must be swept before its first use.
  std::atomic<std::uint32_t> generation{0};
  /// A remote free was begun at some time: before that a fork has nothing of the kind to repair.
  std::atomic<bool> remote_seen{false};
  /// How often trim was called. A heap whose own count is behind gives back what it can when its owner looks for slots.
  std::atomic<std::uint32_t> trims{0};

  /// This allocator, whose address the compiler knows if it is the process's: less code on hot paths.
  STAVE_FAST Allocator& here() {
    if constexpr (S::kProcess) {
      return g_process;
    } else {
      return *this;
    }
  }

  /// A point inside the protocol at which a test may act as another thread.
  STAVE_FAST void yield([[maybe_unused]] const char* point) const {
#if STAVE_YIELD_POINTS
    if (constants.on_yield != nullptr) constants.on_yield(constants.context, point);
#endif
  }

  // faults.cpp: out of line, each says all that is known.
  [[noreturn]] STAVE_COLD void die_at(Fault fault, const char* rule, const void* pointer);
  [[noreturn]] STAVE_COLD void die_in_chunk(Fault fault, const char* rule, const Chunk* chunk, const void* where);
  /// `pointer` lies in a chunk, but a check of its slot failed: names the fault by the slot's state.
  [[noreturn]] STAVE_COLD void die_of_slot(const void* pointer, Fault freed_fault);
  /// What lies in a slot is not what was left there: the canary of one that is being freed, or the zeros of a free one.
  [[noreturn]] STAVE_COLD void die_of_contents(Fault fault, const char* rule, const SlotRef& slot, const char* state);
  /// The canary in front of a slot that is being freed does not hold.
  [[noreturn]] STAVE_COLD void die_of_front(const SlotRef& slot);
  void tell_request(const SlotRef& slot, FaultRecord* record) const;
  /// A free says of a slot what was not asked for.
  [[noreturn]] STAVE_COLD void die_of_claim(const SlotRef& slot, const Claim& claim);
  /// What is known of an address: its place, its state, and the live allocation that it lies in. The rule is that of a
  /// memory function that begins there and leaves what it may use.
  [[nodiscard]] STAVE_COLD FaultRecord describe(const void* address);
  /// It leaves the allocation where it begins, or begins in none.
  [[noreturn]] STAVE_COLD void die_of_access(const Access& access);
  /// hand_out refused: an open word is not as its heap left it, or the slot that was picked is in use.
  [[noreturn]] STAVE_COLD void die_at_hand_out(const Cursor& cursor);

  // touch.cpp
  /// What fault it is to touch an address that has no access. false: none of ours. From a signal handler.
  [[nodiscard]] STAVE_COLD bool explain_touch(const void* address, FaultRecord* fault) const;
  [[nodiscard]] STAVE_COLD const SampleRecord* overflowed_before(std::uintptr_t address,
                                                                 const SampleRecord& touched) const;

  // foreign.cpp: addresses that the registry does not know, which are faults unless an option says otherwise.
  STAVE_COLD void free_foreign(void* pointer);
  /// \return 0: nothing is known of it.
  STAVE_COLD std::size_t usable_size_of_foreign(const void* pointer);
  STAVE_COLD void* reallocate_foreign(void* pointer, std::size_t size);

  // refill.cpp: what lies behind the fast path.
  STAVE_SLOW void* allocate_slow(ThreadHeap& heap, Request request);
  STAVE_SLOW void* allocate_in_class(ThreadHeap& heap, SizeClass cls, Request request);
  STAVE_SLOW void* allocate_borrowed(ThreadHeap& heap, SizeClass cls, Request request);
  STAVE_SLOW void* allocate_large(ThreadHeap& heap, Request request, std::size_t alignment);
  [[nodiscard]] bool refill(ThreadHeap& heap, SizeClass cls);
  /// Puts the current chunk of a class, if there is one, into its list.
  void retire_current(ThreadHeap& heap, SizeClass cls);
  /// Makes a chunk one that has guard words instead of a record.
  void close_chunk(ThreadHeap& heap, OpenChunk& open);
  /// Retires the current chunks and gives back every empty one. true if a chunk went.
  bool give_back_empty(ThreadHeap& heap);
  /// The same, and then the whole pages of other chunks that have no live slot. true if anything went.
  bool give_back_all(ThreadHeap& heap);
  /// The same if trim was called since this heap did so last. pre: the heap is not entered.
  STAVE_FAST void follow_trim(ThreadHeap& heap) {
    const std::uint32_t turn = trims.load(std::memory_order_relaxed);
    if (heap.trims == turn) [[likely]]
      return;
    heap.trims = turn;
    (void)give_back_all(heap);
  }

  // remote_free.cpp: frees by threads that are not the owner, and their collection by the owner.
  STAVE_SLOW void remote_free(void* pointer, const SlotRef& slot, Claim claim);
  void drain_inbox(ThreadHeap& heap);
  void collect_word(ThreadHeap& heap, Chunk* chunk, std::uint32_t line_index);

  // heap_table.cpp: heaps and their threads.
  [[nodiscard]] ThreadHeap* adopt_heap();
  void orphan_heap(ThreadHeap& heap);
  /// A shared heap, for the one call that `borrower` is busy with. nullptr if memory is out.
  [[nodiscard]] ThreadHeap* borrow_heap(ThreadHeap& borrower);
  void return_heap(ThreadHeap& borrower);
  [[nodiscard]] ThreadHeap* nested_heap(ThreadHeap& heap);
  /// Collects what was freed into one orphan heap, and gives back what that empties. true if a chunk went.
  bool drain_orphan();
  bool trim(ThreadHeap* heap);

  // fork.cpp: what a child finds.
  void fork_child(ThreadHeap* survivor);
  void sweep_torn_heap(ThreadHeap& heap);
  void pick_afresh(ThreadHeap& heap);
  /// Sweeps the owner of a chunk unless it is known to be whole.
  STAVE_SLOW void sweep_if_torn(ThreadHeap& heap);

  // sizes.cpp: everything that asks before it changes.
  /// Never 0, but for an address that is not ours and not a fault.
  [[nodiscard]] std::size_t usable_size(const void* pointer, Fault freed_fault);
  /// pre: pointer != nullptr, size != 0
  [[nodiscard]] void* reallocate(ThreadHeap& heap, void* pointer, std::size_t size);
  [[nodiscard]] void* allocate_zeroed(ThreadHeap& heap, std::size_t count, std::size_t size);
  /// pre: alignment is a power of two
  [[nodiscard]] void* allocate_aligned(ThreadHeap& heap, std::size_t alignment, Request request);
  /// The class that serves a request; kClassCount: it is a large block. pre: alignment is a power of two
  [[nodiscard]] SizeClass class_for(std::size_t size, std::size_t alignment) const;
  /// free of whatever is not in the word of the latest allocation. pre: the heap was entered; it is left here.
  STAVE_SLOW void deallocate_slow(ThreadHeap& heap, void* pointer, Claim claim);
  STAVE_SLOW void* allocate_zeroed_slow(ThreadHeap& heap, std::size_t bytes);
  /// free of what is not a live slot of this heap, or cannot be freed from inside of it: another heap's slot, a large
  /// block, or a fault, which is named.
  STAVE_SLOW void deallocate_elsewhere(ThreadHeap& heap, void* pointer, Claim claim);
  /// The live allocation around any address. false: there is none. Takes no lock.
  [[nodiscard]] bool bounds_of(const void* address, void** start, std::size_t* size);
  /// How many bytes the program may touch from an address on: up to the end of the live allocation around it; none if
  /// there is no such allocation, or it ends before; kNoBound if that cannot be told. For memory functions: no lock,
  /// nothing is changed. pre: the registry says `entry` of the address, and not `none`.
  [[nodiscard]] STAVE_SLOW std::size_t room_at(const void* address, RegistryEntry entry);

  // samples.cpp: Samples, and what leads to it.
  /// Whether it is a guarded sample's turn when a heap looks for a slot.
  [[nodiscard]] STAVE_FAST static bool sample_due(const ThreadHeap& heap) { return heap.served >= heap.sample_at; }
  /// The allocation as a guarded sample, whose calls are taken from a frame. nullptr: it cannot be one; nothing
  /// happened.
  STAVE_SLOW void* allocate_sample(ThreadHeap& heap, Request request, std::size_t alignment, const void* frame);
  /// The same as allocate_in_class when it is a sample's turn. Called last, so that the frame behind its own is the
  /// caller's.
  STAVE_SLOW void* allocate_sampled(ThreadHeap& heap, SizeClass cls, Request request);
  STAVE_SLOW void free_sample(void* pointer, Claim claim);
  /// Dies unless the claim fits.
  [[nodiscard]] std::size_t size_of_sample(const void* pointer, Fault freed_fault, const Claim& claim);
  /// Makes what was just allocated zero, unless it is. Returns it.
  STAVE_FAST void* make_zero(void* memory, std::size_t bytes) {
    // A large block comes fresh from the kernel, and a slot is zero where slots are zeroed when they are freed.
    if (!STAVE_MUTANT(calloc_not_zeroed) && here().constants.contents.zero_mask == 0 && bytes <= kLargestSlot)
      std::memset(memory, 0, bytes);
    return memory;
  }

  // verify.cpp
  [[nodiscard]] VerifyResult verify() const;
  [[nodiscard]] Stats stats() const;
  [[nodiscard]] Resident resident();

  // lists.cpp: the chunks of a heap.
  /// A free by the owner made a slot of a chunk available. The last thing that it does inside of its heap, which is
  /// left here.
  STAVE_FAST void gained_last(ThreadHeap& heap, Chunk* chunk) {
    if (--chunk->until_notified == 0) [[unlikely]]
      return chunk_gained_last(heap, chunk);
    heap.leave();
  }
  /// Puts a chunk that is in no list into the list where it belongs, or gives it back if it is empty and one too many.
  void place(ThreadHeap& heap, Chunk* chunk);
  /// Puts it into its list, empty or not.
  void file_chunk(ThreadHeap& heap, Chunk* chunk);
  /// Gives back an empty chunk that is in no list.
  void release_chunk(ThreadHeap& heap, Chunk* chunk);
  /// Gives back one of the empty chunks of a class, which has some.
  void release_empty(ThreadHeap& heap, SizeClass cls);
  /// What one class, or large blocks, need for the first time is taken from what the other classes keep for their next
  /// wave: a program that goes on from size to size does not pile up.
  void give_back_elsewhere(ThreadHeap& heap, SizeClass but, std::size_t bytes);
  /// Takes a chunk out of its list, whose neighbours are checked.
  void unlink(ThreadHeap& heap, Chunk* chunk);

  /// The record of a chunk of this heap and class, if it is open; nullptr: it is closed. The header is not believed.
  STAVE_FAST static OpenChunk* record_of(const ThreadHeap& heap, SizeClass cls, const Chunk* chunk) {
    const ClassChunks& chunks = heap.classes[cls];
    const std::uint32_t index = chunk->record;
    if (index >= chunks.record_count || chunks.records[index]->chunk != chunk) return nullptr;
    return chunks.records[index];
  }
  /// What its heap knows of a word, if that is open.
  STAVE_FAST static OpenWord* open_word(const ThreadHeap& heap, SizeClass cls, const Chunk* chunk,
                                        const SlotLine* line) {
    OpenChunk* const open = record_of(heap, cls, chunk);
    return open == nullptr ? nullptr : open->words() + (line - chunk->lines());
  }
  /// A slot with what is remembered of it.
  STAVE_FAST SlotNotes notes_of(Chunk* chunk, SlotLine* line, std::uint64_t place) const {
    const ClassShape& shape = constants.shapes[chunk->size_class()];
    const auto index = static_cast<std::size_t>(line - chunk->lines()) * 64 + place;
    return {.line = line,
            .place = place,
            .slot = chunk->start() + shape.slots_offset + index * shape.slot_size,
            .slot_size = shape.content_bytes,
            .slack = chunk->notes(shape.line_count()) + index};
  }
  /// The slot of a bit.
  STAVE_FAST char* slot_in(Chunk* chunk, const SlotLine* line, std::uint64_t place) const {
    const ClassShape& shape = constants.shapes[chunk->size_class()];
    const auto index = static_cast<std::size_t>(line - chunk->lines()) * 64 + place;
    return chunk->start() + shape.slots_offset + index * shape.slot_size;
  }
  /// The slots of a word that were freed and may not be handed out before its next refill.
  [[nodiscard]] std::uint64_t held_in(const ThreadHeap& heap, const Chunk* chunk, const SlotLine* line) const {
    const SizeClass cls = chunk->size_class();
    const OpenWord* const open = open_word(heap, cls, chunk, line);
    if (open == nullptr) return line->held;
    const std::uint64_t offered = heap.cursors[cls].line == line ? heap.cursors[cls].offered() : 0;
    return opened_in(chunk, line) & ~(line->live.load(std::memory_order_relaxed) | open->fresh | offered);
  }

 private:
  [[nodiscard]] STAVE_SLOW std::size_t room_in_large(const void* address, RegistryEntry entry);
  /// The state of a slot of a chunk, vacant or not.
  [[nodiscard]] const char* state_of(RegistryEntry entry, std::size_t slot) const;
  void meet_foreign(const void* pointer);
  void put_orphan(ThreadHeap& heap);
  void link_orphan(ThreadHeap& heap);  ///< under the lock
  void unlink_orphan(ThreadHeap** link);
  /// Takes a heap whose thread a fork left behind, and sweeps it; nullptr if there is none. Under the lock.
  [[nodiscard]] ThreadHeap* claim_lost();
  /// Takes an orphan, a lost heap, or a new one. Under the lock.
  [[nodiscard]] ThreadHeap* take_heap(bool shared);
  /// Takes the first orphan that `wanted` says yes to; nullptr if there is none. Under the lock.
  template <class Wanted>
  [[nodiscard]] ThreadHeap* claim_orphan(Wanted wanted);
  /// Collects what was freed into one shared heap.
  void drain_shared();
  /// An allocation by the owner of a heap, which was entered.
  /// hand_out for any request: all that the options lay behind it and remember of it.
  [[nodiscard]] STAVE_FAST void* hand_out_noted(ThreadHeap& heap, Cursor& cursor, const Request& request) const;
  [[nodiscard]] STAVE_FAST void* allocate_noted(ThreadHeap& heap, const Request& request);
  [[nodiscard]] STAVE_FAST void* serve(ThreadHeap& heap, SizeClass cls, const Request& request);
  /// Whether a heap's next allocation of a class comes from a shared heap.
  [[nodiscard]] bool borrows(const ThreadHeap& heap, SizeClass cls) const;
  void check_neighbour(ThreadHeap& heap, Chunk* chunk, Chunk* neighbour);
  /// The chunk behind (or `back`: in front of) another one in the list that begins with `first`; nullptr: that is
  /// first.
  [[nodiscard]] Chunk* neighbour_in(ThreadHeap& heap, const Chunk* first, Chunk* chunk, bool back = false);
  void push(ThreadHeap& heap, Chunk** list, Chunk* chunk, bool front);
  /// Makes a chunk that is in no list the current one of its class. pre: the class has a record.
  void make_current(ThreadHeap& heap, Chunk* chunk);
  OpenChunk& open_chunk(ThreadHeap& heap, SizeClass cls, Chunk* chunk);
  /// The chunk of a record, whose header is as it was when it was opened, or this dies.
  [[nodiscard]] STAVE_FAST Chunk* chunk_of(const OpenChunk& open);
  /// Makes another record for a class, unless it has enough. false: it has none, and memory is out.
  [[nodiscard]] bool provide_record(ThreadHeap& heap, SizeClass cls);
  /// Makes a word of the current chunk the one that serves its class, if one offers at least `few`. `all`: held slots
  /// as well. pre: no word serves it.
  [[nodiscard]] bool take_word(ThreadHeap& heap, SizeClass cls, std::uint32_t few, bool all = false);
  /// No word serves the class any more. What the cursor still offers is fresh again.
  void leave_word(ThreadHeap& heap, SizeClass cls);
  /// free of whatever `nearby` does not know. pre: the heap was entered; it is left here.
  STAVE_SLOW void deallocate_farther(ThreadHeap& heap, void* pointer, Claim claim);
  /// free of a live slot of a chunk of this heap. false: it is none, and nothing was changed.
  STAVE_FAST bool free_local(ThreadHeap& heap, Chunk* chunk, RegistryEntry entry, void* pointer, const Claim& claim);
  /// The same for the slot of an open chunk that begins at `pointer`, if one does. nullptr: nothing was changed.
  /// kWatchful: there is more to look at than the canary, or may be.
  template <bool kWatchful>
  STAVE_FAST Chunk* take_back_slot(OpenChunk* open, void* pointer, const Claim& claim);
  STAVE_SLOW void deallocate_watchful(ThreadHeap& heap, void* pointer, Claim claim);
  /// free of a pointer that is not in a chunk.
  STAVE_SLOW void deallocate_large(void* pointer, RegistryEntry entry, const Claim& claim);
  /// Whether a free may say of a live slot what this one does.
  [[nodiscard]] STAVE_FAST bool claim_fits(const SlotNotes& notes, SizeClass cls, const Claim& claim) const {
    const ContentRules& rules = constants.contents;
    return family_fits(rules, notes.family(), claim) && alignment_fits(rules, notes.slot, claim) &&
           (claim.size == Claim::kAnySize || (rules.exact && notes.size(rules) == claim.size) ||
            size_claim_fits(notes, cls, claim));
  }
  [[nodiscard]] STAVE_SLOW bool size_claim_fits(const SlotNotes& notes, SizeClass cls, const Claim& claim) const;
  /// Whether all but the canary of a live slot allows the owner to free it so.
  [[nodiscard]] STAVE_FAST bool may_free(const SlotNotes& notes, SizeClass cls, const Claim& claim) const {
    const ContentRules& rules = constants.contents;
    return front_holds(rules, notes) && (!rules.exact || slack_holds(rules, notes)) && claim_fits(notes, cls, claim);
  }
  /// The same, out of line.
  [[nodiscard]] STAVE_SLOW bool may_free_slot(const OpenChunk& open, std::size_t index, Claim claim) const;
  /// A slot that the program may use, or this dies.
  [[nodiscard]] SlotRef live_slot(const void* pointer, RegistryEntry entry, Fault freed_fault);
  /// realloc of a slot where it is. false: what was asked for, *old_size bytes, must be copied elsewhere.
  [[nodiscard]] bool resize_slot(const SlotRef& slot, std::size_t size, std::size_t* old_size);
  /// The same for a large block, which moves by itself. nullptr: it must be copied, or *is_large says that it is none.
  [[nodiscard]] void* resize_large(void* pointer, std::size_t size, bool* is_large, std::size_t* old_size);
  /// Frees made slots of a chunk available: it may now be usable, or empty and gone.
  STAVE_FAST void gained(ThreadHeap& heap, Chunk* chunk, std::uint32_t slots) {
    chunk->set_available(chunk->available() + slots);
    if (chunk->available() >= chunk->notify_at) [[unlikely]]
      chunk_gained(heap, chunk);
  }
  [[nodiscard]] bool discard_free_pages(ThreadHeap& heap, Chunk* chunk);
  /// What the registry says of a chunk of the heap's. Dies if its header is not sealed to say the same.
  [[nodiscard]] RegistryEntry sealed_entry(const ThreadHeap& heap, Chunk* chunk);
  /// Dies if a header, which is not sealed there, says that more slots are opened than there are.
  void check_opened(Chunk* chunk, const ClassShape& shape);
  STAVE_SLOW void chunk_gained(ThreadHeap& heap, Chunk* chunk);
  /// The same, and leaves the heap.
  STAVE_SLOW void chunk_gained_last(ThreadHeap& heap, Chunk* chunk);
  /// Whether an owner's word is as the owner left it: by its copy if it is open, by its guard word if not.
  STAVE_FAST bool word_holds(const OpenWord* open, const SlotLine* line, std::uint64_t live, std::uint64_t held) const {
    return open != nullptr ? open->holds(live, held) : guard_holds(constants.keys.bitmap, line, live, held);
  }
  /// Those of a word that were freed must be as they were left then.
  void check_unwritten(Chunk* chunk, SlotLine* line, std::uint64_t slots);
  /// Before `slots` of a word stop being live: their canaries go, and they are zeroed.
  void clear_slots(Chunk* chunk, SlotLine* line, std::uint64_t slots);
  /// The owner frees `slots` of a word that reads `live` and `held`. The order of the stores is the one that fork.cpp
  /// relies on. \return false: it is not as the owner left it; nothing was changed.
  STAVE_FAST bool free_in_word(Chunk* chunk, OpenWord* open, SlotLine* line, std::uint64_t live, std::uint64_t held,
                               std::uint64_t slots) {
    if (!word_holds(open, line, live, held)) [[unlikely]]
      return false;
    clear_slots(chunk, line, slots);
    const std::uint64_t now = live & ~slots;
    line->live.store(now, std::memory_order_relaxed);
    keep_order();
    if (open != nullptr) {
      open->live = now;  // what is free, and neither fresh nor offered, is held
      return true;
    }
    line->held = held | slots;
    keep_order();
    line->guard = guard_word(constants.keys.bitmap, line, now, held | slots);
    return true;
  }
  /// Tops up the random bytes for the picks of a heap.
  void draw_noise(ThreadHeap& heap);
  void open_page(OpenChunk& open);
  void open_page_if_worn(OpenChunk& open);
  [[nodiscard]] ThreadHeap* make_heap();
  /// arena.metadata, for which the address space of freed large blocks is let go if there is no other. The lock is
  /// held.
  [[nodiscard]] void* own_memory(std::size_t bytes);
  void signal_owner(ThreadHeap& owner, Chunk* chunk);
  [[nodiscard]] std::uint32_t repair_word(const ThreadHeap& heap, SizeClass cls, Chunk* chunk, SlotLine* line);
};

}  // namespace stave
