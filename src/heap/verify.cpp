// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// verify() runs the numbered invariants that the headers state; the numbers here are theirs. Read-only, and for a
// moment at which nobody else is inside.
#include <bit>

#include "heap/allocator.hpp"
#include "heap/instantiate.hpp"

namespace stave {
namespace {

/// Collects the first violation.
class Findings {
 public:
  bool expect(bool holds, const char* invariant, const void* where) {
    if (!holds && result_.ok()) result_ = {invariant, where};
    return holds;
  }
  [[nodiscard]] bool ok() const { return result_.ok(); }
  [[nodiscard]] VerifyResult result() const { return result_; }

 private:
  VerifyResult result_;
};

}  // namespace

template <class S>
VerifyResult Allocator<S>::verify() const {
  Findings findings;
  std::uint64_t chunk_count = 0;
  std::uint64_t whole = 0;  // chunks of heaps that no fork has torn

  arena.for_each_chunk([&](Chunk* chunk) {
    if (!findings.ok()) return;
    ++chunk_count;
    const RegistryEntry entry = arena.registry.find(address_of(chunk));
    const SizeClass cls = entry.size_class();
    const ClassShape& shape = constants.shapes[cls];
    if (!findings.expect(header_holds(constants.keys.header, chunk, entry), "C1 the seal of a chunk's header verifies",
                         chunk)) {
      return;
    }
    for (std::uint32_t unit = 0; unit != std::uint32_t{1} << shape.units_log2; ++unit) {
      findings.expect(arena.registry.find(address_of(chunk->start()) + unit * kUnit).bits == entry.bits,
                      "R1 every unit of a chunk is registered as its", chunk);
    }
    const auto* const heap = static_cast<const ThreadHeap*>(chunk->owner);
    findings.expect(chunk->opened <= shape.slot_count, "C5 no more slots are opened than there are", chunk);
    const Cursor& cursor = heap->cursors[cls];
    std::uint64_t used = 0;
    const std::uint64_t pending = chunk->pending.load(std::memory_order_relaxed);
    const bool repaired =
        heap->generation.load(std::memory_order_relaxed) == generation.load(std::memory_order_relaxed);
    if (!repaired) return;  // torn by a fork, and not used since
    ++whole;
    for (std::uint32_t i = 0; i != shape.line_count(); ++i) {
      SlotLine& line = chunk->lines()[i];
      const std::uint64_t live = line.live.load(std::memory_order_relaxed);
      const std::uint64_t marked = line.marked.load(std::memory_order_relaxed);
      const std::uint64_t done = line.done.load(std::memory_order_relaxed);
      const OpenWord* const open = open_word(*heap, cls, chunk, &line);
      findings.expect(word_holds(open, &line, live, line.held), "L1 the guard word of a bitmap verifies", &line);
      findings.expect(open == nullptr || line.guard == open_guard(constants.keys.bitmap, &line),
                      "L1 the guard word of an open bitmap fits nothing", &line);
      const std::uint64_t held = held_in(*heap, chunk, &line);
      const std::uint64_t offered = cursor.line == &line ? cursor.offered() : 0;
      const std::uint64_t fresh = open != nullptr ? open->fresh : 0;
      findings.expect((live & held) == 0, "L2 no slot is live and held", &line);
      findings.expect((done & ~marked) == 0 && (marked & ~live) == 0, "L3 done is within marked, marked within live",
                      &line);
      const std::uint64_t opened = opened_in(chunk, &line);
      findings.expect(((live | held) & ~opened) == 0, "L4 no bit lies beyond the opened slots", &line);
      findings.expect((pending >> i & 1) == 0 || done != 0, "C4 a pending word has done bits", &line);
      findings.expect(((offered | fresh) & (~opened | live)) == 0 && (offered & fresh) == 0,
                      "H1 what is offered or fresh is opened and not live", &line);
      findings.expect(cursor.line != &line || cursor.word == open, "H1 the word that serves is open", &line);
      used += count_bits(live | offered);
      const std::uint64_t canaries = line.canary.load(std::memory_order_relaxed);
      findings.expect((canaries & ~live) == 0, "L5 what has a canary is live", &line);
      for (std::uint32_t place = 0; findings.ok() && place != 64 && has_bit(opened, place); ++place) {
        char* const slot = chunk->start() + shape.slots_offset + (i * std::size_t{64} + place) * shape.slot_size;
        if (has_bit(live, place)) {
          // Where nothing is noted yet, a fork tore a hand-out.
          const SlotNotes notes = notes_of(chunk, &line, place);
          findings.expect(!has_canary(&line, place) || end_holds(constants.contents, notes),
                          "L5 what lies behind an allocation in its slot holds", slot);
        } else if (constants.contents.zero_mask != 0) {
          findings.expect(is_zero(slot, shape.content_bytes, constants.contents.vectors), "L6 a free slot is zero",
                          slot);
        }
      }
    }
    findings.expect(used + chunk->available() == chunk->opened, "C2 the counts of a chunk are true", chunk);
  });
  findings.expect(chunk_count == arena.counts.chunks, "R2 the arena knows how many chunks have an owner", &arena);

  std::uint64_t listed = 0;
  for (const ThreadHeap* heap = heaps; heap != nullptr && findings.ok(); heap = heap->next) {
    if (heap->generation.load(std::memory_order_relaxed) != generation.load(std::memory_order_relaxed)) continue;
    for (SizeClass cls = 0; cls != kClassCount; ++cls) {
      const ClassChunks& chunks = heap->classes[cls];
      for (std::uint32_t i = 0; i != chunks.record_count; ++i) {
        const OpenChunk& open = *chunks.records[i];
        const ClassShape& shape = constants.shapes[cls];
        if (open.chunk == nullptr) {
          findings.expect(open.slots_bytes == 0, "H3 a free record has no addresses", &open);
        } else {
          findings.expect(
              open.chunk->record == i && open.chunk->owner == heap && header_sum(open.chunk) == open.header &&
                  open.first_slot == open.chunk->start() + shape.slots_offset &&
                  open.slots_bytes == shape.slots_bytes && open.reciprocal == shape.reciprocal &&
                  open.slot_size == shape.content_bytes && open.notes == open.chunk->notes(shape.line_count()),
              "H3 the record of an open chunk is true", &open);
        }
      }
      const OpenChunk* const open = heap->cursors[cls].open;
      const Chunk* const current = open != nullptr ? open->chunk : nullptr;
      std::uint32_t count = current != nullptr ? 1 : 0;
      std::uint32_t empty = 0;
      if (current != nullptr) {
        findings.expect(current->place == Chunk::Place::current && current->owner == heap,
                        "H2 every chunk is where it says", current);
      }
      for (Chunk* const* list : {&chunks.usable, &chunks.full}) {
        const auto place = list == &chunks.usable ? Chunk::Place::usable : Chunk::Place::full;
        Chunk* chunk = *list;
        while (chunk != nullptr && findings.ok()) {
          ++count;
          if (place == Chunk::Place::usable && chunk->available() == chunk->opened) ++empty;
          findings.expect(chunk->next->previous == chunk && chunk->previous->next == chunk,
                          "C3 neighbours in a chunk list point at one another", chunk);
          findings.expect(chunk->place == place && chunk->owner == heap && chunk->size_class() == cls,
                          "H2 every chunk is where it says", chunk);
          chunk = chunk->next == *list ? nullptr : chunk->next;
        }
      }
      findings.expect(count == chunks.chunks && empty == chunks.empty, "H2 the counts of a heap are true", heap);
      listed += count;
    }
  }
  findings.expect(listed == whole, "H2 every chunk is in exactly one place", this);

  std::uint64_t live_blocks = 0;
  std::uint64_t held_blocks = 0;
  std::uint64_t unused_records = 0;
  large.for_each_record([&](const LargeRecord& record, std::uint32_t number) {
    findings.expect(large.verifies(record), "B1 the record of a large block verifies", &record);
    if (record.state == LargeRecord::State::unused) ++unused_records;
    if (record.state == LargeRecord::State::unused || !findings.ok()) return;
    ++(record.state == LargeRecord::State::live ? live_blocks : held_blocks);
    for (std::size_t offset = 0; offset != record.mapping_bytes; offset += kUnit) {
      findings.expect(arena.registry.find(record.mapping + offset).bits == RegistryEntry::of_large(number).bits,
                      "R3 every unit of a large block is registered as its", &record);
    }
  });
  findings.expect(live_blocks == large.live_count, "B2 the count of large blocks is true", &large);
  findings.expect(held_blocks == large.listed(LargeRecord::State::held) &&
                      unused_records == large.listed(LargeRecord::State::unused),
                  "B3 every record of a large block that is not live is in its list", &large);

  std::uint64_t live_samples = 0;
  samples.for_each_record([&](const SampleRecord& record, std::uint32_t number) {
    findings.expect(samples.verifies(record), "S1 the record of a sample verifies", &record);
    if (!findings.ok()) return;
    for (std::size_t offset = 0; offset != samples.place_bytes(number); offset += kUnit) {
      findings.expect(arena.registry.find(record.place + offset).bits == RegistryEntry::of_sample(number).bits,
                      "R4 every unit of a sample's place is registered as its", &record);
    }
    if (record.state != SampleRecord::State::live) return;
    ++live_samples;
    findings.expect(samples.changed_around(record) == nullptr, "S2 what lies around a sample is as it was laid",
                    &record);
  });
  findings.expect(live_samples == samples.live_count, "S3 the count of samples is true", &samples);
  return findings.result();
}

template <class S>
Stats Allocator<S>::stats() const {
  Stats stats;
  arena.for_each_chunk([&](Chunk* chunk) {
    const SizeClass cls = arena.registry.find(address_of(chunk)).size_class();
    std::uint64_t live = 0;
    for (std::size_t i = 0; i != constants.shapes[cls].line_count(); ++i) {
      SlotLine& line = chunk->lines()[i];
      const std::uint64_t marked = line.marked.load(std::memory_order_relaxed);
      const std::uint64_t unmarked = line.live.load(std::memory_order_relaxed) & ~marked;
      live += count_bits(unmarked);
      for (std::uint64_t left = unmarked; left != 0; left &= left - 1) {
        const auto place = static_cast<std::uint64_t>(std::countr_zero(left));
        stats.live_bytes += notes_of(chunk, &line, place).size(constants.contents);
      }
      stats.held_slots += count_bits(held_in(*static_cast<const ThreadHeap*>(chunk->owner), chunk, &line) | marked);
    }
    stats.live_allocations += live;
  });
  for (const ThreadHeap* heap = heaps; heap != nullptr; heap = heap->next) {
    stats.calls_served += heap->served;
    for (const Cursor& cursor : heap->cursors) stats.calls_served -= count_bits(cursor.offered());
  }
  stats.live_allocations += large.live_count + samples.live_count;
  stats.live_bytes += samples.live_bytes;
  large.for_each_record([&](const LargeRecord& record, std::uint32_t) {
    if (record.state == LargeRecord::State::live) stats.live_bytes += large.size(record);
  });
  stats.samples = samples.live_count;
  stats.sample_bytes = samples.live_bytes;
  stats.large_blocks = large.live_count;
  stats.large_bytes = large.live_bytes;
  stats.calls_served += large.served + samples.served;
  stats.heaps = heap_count;
  stats.chunks = arena.counts.chunks;
  stats.vacant_chunks = arena.counts.vacant_chunks;
  stats.mapped_bytes = arena.counts.mapped_bytes;
  stats.guards_installed = arena.counts.guards_installed;
  stats.guards_skipped = arena.counts.guards_skipped;
  return stats;
}

template <class S>
Resident Allocator<S>::resident() {
  Resident resident{.chunks_bytes = arena.resident_bytes()};
  large.for_each_record([&](const LargeRecord& record, std::uint32_t) {
    if (record.state == LargeRecord::State::unused) return;
    resident.large_bytes += arena.pages.resident_bytes(reinterpret_cast<void*>(record.mapping), record.mapping_bytes);
  });
  samples.for_each_record([&](const SampleRecord& record, std::uint32_t) {
    if (record.state == SampleRecord::State::live) resident.sample_bytes += record.data_bytes;
  });
  return resident;
}

#define STAVE_VERIFY(S)                               \
  template VerifyResult Allocator<S>::verify() const; \
  template Stats Allocator<S>::stats() const;         \
  template Resident Allocator<S>::resident();
STAVE_INSTANTIATE(STAVE_VERIFY);

}  // namespace stave
