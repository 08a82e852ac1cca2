// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/arena.hpp"

#include <algorithm>
#include <bit>

#include "base/mutant.hpp"
#include "os/sanitizer.hpp"

namespace stave {
namespace {

constexpr std::size_t kLargestSpanBytes = std::size_t{64} << 20;
constexpr std::size_t kMetadataBlock = kUnit;
constexpr std::uint64_t kMappingsPerPair = 4;  // a protected page splits a mapping in three

}  // namespace

template <class S>
void Arena<S>::start(const Constants& constants, const Seed& seed) {
  constants_ = &constants;
  random_.start(seed, 0);
  guard_advice_ = constants.options.guard_advice != 0 && kernel_checks_advice();
  if (S::kProcess && constants.options.chunk_randomize != 0) windows_ = windows_below(last_address());
}

template <class S>
std::uintptr_t Arena<S>::random_place(std::size_t bytes) {
  if (windows_.count == 0 || bytes > kWindowBytes / 4) return 0;
  window_used_ += bytes;
  if (window_ == 0 || window_used_ > kWindowBytes / 2) {
    window_ = (windows_.first + random_.below(windows_.count)) * kWindowBytes;
    window_used_ = bytes;
  }
  return window_ + random_.below((kWindowBytes - bytes) / kUnit + 1) * kUnit;
}

template <class S>
void* Arena<S>::metadata(std::size_t bytes) {
  const std::size_t page = constants_->page;
  const std::size_t alignment = bytes >= page ? page : kLine;
  char* start =
      metadata_next_ == nullptr ? nullptr : reinterpret_cast<char*>(align_up(address_of(metadata_next_), alignment));
  if (start == nullptr || start > metadata_end_ || static_cast<std::size_t>(metadata_end_ - start) < bytes) {
    const std::size_t block = align_up(bytes + 2 * page, kMetadataBlock);
    auto* const fresh = static_cast<char*>(pages.map(block, random_place(block)));
    if (fresh == nullptr) return nullptr;
    counts.mapped_bytes += block;
    (void)guard_pair(fresh, page, fresh + block - page, page);
    sanitizer::mark_header(fresh, block);
    start = fresh + page;
    metadata_end_ = fresh + block - page;
  }
  metadata_next_ = start + bytes;
  counts.metadata_bytes += bytes;
  return start;
}

template <class S>
std::uint64_t Arena<S>::resident_bytes() {
  std::uint64_t bytes = counts.metadata_bytes + registry.resident_bytes(pages);
  for (const Span* span = spans_; span != nullptr; span = span->next) {
    bytes += pages.resident_bytes(span->start, span->cells * (kUnit << span->units_log2));
  }
  return bytes;
}

template <class S>
bool Arena<S>::may_protect() {
  const std::uint64_t budget = constants_->options.guard_budget;
  const std::uint64_t left = budget > protected_ ? budget - protected_ : 0;
  if (left < kMappingsPerPair) return false;
  // Spread: all are guarded while half of the budget is left, then every second, every fourth, ...
  const std::uint64_t stride = std::bit_floor(budget / left);
  return (guard_turn_++ & (stride - 1)) == 0;  // a power of two
}

template <class S>
bool Arena<S>::protect_pair(void* first, std::size_t first_bytes, void* second, std::size_t second_bytes) {
  if (!may_protect() || !pages.forbid(first, first_bytes)) return false;
  if (pages.forbid(second, second_bytes)) {
    protected_ += kMappingsPerPair;
    return true;
  }
  (void)pages.permit(first, first_bytes);
  return false;
}

template <class S>
GuardKind Arena<S>::guard_pair(void* first, std::size_t first_bytes, void* second, std::size_t second_bytes,
                               bool second_shrinks) {
  if (constants_->options.guard_pages == 0) return GuardKind::none;
  counts.guards_installed += 2;
  if (second_shrinks && protect_pair(first, first_bytes, second, second_bytes)) return GuardKind::protection;
  if (guard_advice_) {
    // Asked each time: it fails on locked memory and works beside it.
    if (pages.guard_install(first, first_bytes)) {
      if (pages.guard_install(second, second_bytes)) return GuardKind::advice;
      (void)pages.guard_remove(first, first_bytes);
    }
  }
  if (!second_shrinks && protect_pair(first, first_bytes, second, second_bytes)) return GuardKind::protection;
  counts.guards_installed -= 2;
  counts.guards_skipped += 2;
  return GuardKind::none;
}

template <class S>
void Arena<S>::forget_guard_pair(GuardKind kind) {
  if (kind == GuardKind::none) return;
  counts.guards_installed -= 2;
  if (kind == GuardKind::protection) protected_ -= kMappingsPerPair;
}

template <class S>
bool Arena<S>::grow_pool(VacantPool& pool) {
  if (pool.chunks < pool.capacity) return true;
  const std::uint32_t capacity = pool.capacity == 0 ? 8 : 2 * pool.capacity;
  auto* const starts = static_cast<std::uintptr_t*>(metadata(capacity * sizeof(std::uintptr_t)));
  if (starts == nullptr) return false;
  for (std::uint32_t i = 0; i != pool.count; ++i) starts[i] = pool.starts[i];
  pool.starts = starts;
  pool.capacity = capacity;
  return true;
}

template <class S>
char* Arena<S>::take_vacant(SizeClass from, SizeClass to, GuardKind* guard) {
  VacantPool& pool = pools_[from];
  if (pool.count == 0) return nullptr;
  if (from != to && !grow_pool(pools_[to])) return nullptr;
  const std::uint32_t pick =
      constants_->options.chunk_randomize != 0 ? static_cast<std::uint32_t>(random_.below(pool.count)) : pool.count - 1;
  const std::uintptr_t address = pool.starts[pick];
  const RegistryEntry entry = registry.find(address);
  if (!STAVE_MUTANT(pool_not_checked) && (entry.kind() != UnitKind::vacant || entry.size_class() != from)) {
    constants_->die({.fault = Fault::corrupt_list,
                     .rule = "a pool of vacant chunks names one that is not vacant",
                     .address = reinterpret_cast<void*>(address)});
  }
  const ClassShape& shape = constants_->shapes[from];
  char* const start = reinterpret_cast<char*>(address);
  char* const slots = start + shape.slots_offset;
  const std::size_t bytes = shape.chunk_bytes() - shape.slots_offset - constants_->page;
  const bool opened = entry.guard() == GuardKind::advice       ? pages.guard_remove(slots, bytes)
                      : entry.guard() == GuardKind::protection ? pages.permit(slots, bytes)
                                                               : true;
  if (!opened) return nullptr;
  pool.starts[pick] = pool.starts[--pool.count];
  --counts.vacant_chunks;
  if (from != to) {
    --pool.chunks;
    ++pools_[to].chunks;
  }
  *guard = entry.guard();
  return start;
}

template <class S>
bool Arena<S>::add_span(std::uint32_t units_log2) {
  const std::size_t chunk_bytes = kUnit << units_log2;
  // An eighth of what there is: few mappings do, and not much is mapped in vain, which core dumps would show.
  const std::size_t least = units_log2 == 0 ? S::kFirstSpanBytes : chunk_bytes;
  const std::size_t wanted = std::clamp(std::bit_floor(span_bytes_[units_log2] / 8), least, kLargestSpanBytes);
  for (std::size_t bytes = wanted; bytes >= chunk_bytes; bytes /= 2) {
    auto* const start = static_cast<char*>(pages.map(bytes, random_place(bytes)));
    if (start == nullptr) continue;
    const auto cells = static_cast<std::uint32_t>(bytes / chunk_bytes);
    Span* span = nullptr;
    if (registry.prepare(pages, address_of(start), bytes)) {
      span = static_cast<Span*>(metadata(sizeof(Span) + cells * sizeof(std::uint16_t)));
    }
    if (span == nullptr) {
      (void)pages.unmap(start, bytes);
      return false;
    }
    for (std::uint32_t cell = 0; cell != cells; ++cell) span->order[cell] = static_cast<std::uint16_t>(cell);
    span->start = start;
    span->cells = cells;
    span->remaining = cells;
    span->units_log2 = units_log2;
    span->next = spans_;
    spans_ = span;
    cut_from_[units_log2] = span;
    counts.mapped_bytes += bytes;
    span_bytes_[units_log2] += bytes;
    return true;
  }
  return false;
}

template <class S>
char* Arena<S>::take_fresh(SizeClass cls, GuardKind* guard) {
  const ClassShape& shape = constants_->shapes[cls];
  if (!grow_pool(pools_[cls])) return nullptr;
  Span* span = cut_from_[shape.units_log2];
  if (span == nullptr || span->remaining == 0) {
    if (!add_span(shape.units_log2)) return nullptr;
    span = cut_from_[shape.units_log2];
  }
  const std::uint32_t left = span->remaining--;
  const std::uint32_t pick =
      constants_->options.chunk_randomize != 0 ? static_cast<std::uint32_t>(random_.below(left)) : 0;
  char* const start = span->start + span->order[pick] * shape.chunk_bytes();
  span->order[pick] = span->order[left - 1];
  const std::size_t page = constants_->page;
  *guard = STAVE_MUTANT(chunk_guards_not_laid)
               ? GuardKind::none
               : guard_pair(start + page, page, start + shape.chunk_bytes() - page, page);
  ++pools_[cls].chunks;
  return start;
}

template <class S>
bool Arena<S>::close_slots(char* slots, std::size_t bytes, GuardKind guard) {
  return guard == GuardKind::advice       ? pages.guard_install(slots, bytes)
         : guard == GuardKind::protection ? pages.withdraw(slots, bytes)
                                          : false;
}

template <class S>
Chunk* Arena<S>::make_chunk(char* start, SizeClass cls, GuardKind guard, void* owner) {
  const ClassShape& shape = constants_->shapes[cls];
  // The guard before the slots lies where the header page ends whatever the class: a changed class keeps its guards.
  sanitizer::mark_header(start, constants_->page);
  char* const slots = start + shape.slots_offset;
  const std::size_t bytes = shape.chunk_bytes() - shape.slots_offset - constants_->page;
  // With the guards: their report tells more than a SIGSEGV does.
  sanitizer::mark_vacant(start + constants_->page, shape.chunk_bytes() - constants_->page);
  if (shape.content_bytes == 0 && (STAVE_MUTANT(zero_size_not_closed) || !close_slots(slots, bytes, guard))) {
    ++counts.guards_skipped;
  }
  const auto colour = static_cast<std::uint32_t>(random_.below(shape.colour_count));
  auto* const chunk = reinterpret_cast<Chunk*>(start + colour * kLine);
  // The page may hold what an earlier life left: the memory of a locked page cannot be given back.
  sanitizer::zero_own(chunk, shape.header_bytes(constants_->contents.exact));
  chunk->owner = owner;
  chunk->identity = RegistryEntry::of_chunk(UnitKind::chunk, cls, chunk, guard);
  chunk->seal = seal_of(constants_->keys.header, chunk->identity, owner);
  chunk->next = chunk;
  chunk->previous = chunk;
  const std::uint64_t empty = 0;
  for (std::size_t i = 0; i != shape.line_count(); ++i) {
    SlotLine& line = chunk->lines()[i];
    line.guard = guard_word(constants_->keys.bitmap, &line, empty, empty);
  }
  for (std::uint32_t unit = 0; unit != std::uint32_t{1} << shape.units_log2; ++unit) {
    registry.set(address_of(start) + unit * kUnit, chunk->identity);
  }
  ++counts.chunks;
  return chunk;
}

template <class S>
Chunk* Arena<S>::acquire_chunk(SizeClass cls, void* owner) {
  GuardKind guard{};
  char* start = take_vacant(cls, cls, &guard);
  if (start == nullptr) start = take_fresh(cls, &guard);
  for (SizeClass other = 0; start == nullptr && other != kClassCount; ++other) {
    if (constants_->shapes[other].units_log2 == constants_->shapes[cls].units_log2) {
      start = take_vacant(other, cls, &guard);
    }
  }
  return start == nullptr ? nullptr : make_chunk(start, cls, guard, owner);
}

template <class S>
void Arena<S>::release_chunk(Chunk* chunk) {
  char* const start = chunk->start();
  const RegistryEntry entry = registry.find(address_of(start));
  const SizeClass cls = entry.size_class();
  const ClassShape& shape = constants_->shapes[cls];
  for (std::uint32_t unit = 0; unit != std::uint32_t{1} << shape.units_log2; ++unit) {
    registry.set(address_of(start) + unit * kUnit,
                 RegistryEntry::of_chunk(UnitKind::vacant, cls, chunk, entry.guard()));
  }
  char* const slots = start + shape.slots_offset;
  const std::size_t bytes = shape.chunk_bytes() - shape.slots_offset - constants_->page;
  sanitizer::mark_vacant(slots, bytes);
  // Locked memory refuses all of these: it then stays, as zeroes, and the chunk serves again all the same.
  const bool done = !STAVE_MUTANT(vacant_not_closed) && constants_->options.fault_vacant != 0 &&
                    close_slots(slots, bytes, entry.guard());
  if (!done && !pages.discard(slots, bytes) && shape.content_bytes != 0) sanitizer::zero_own(slots, bytes);
  (void)pages.discard(start, constants_->page);
  VacantPool& pool = pools_[cls];
  pool.starts[pool.count++] = address_of(start);
  --counts.chunks;
  ++counts.vacant_chunks;
}

template class Arena<ProcessStorage>;
template class Arena<InstanceStorage>;

}  // namespace stave
