// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "heap/large.hpp"

#include <algorithm>

#include "os/sanitizer.hpp"

namespace stave {
namespace {

constexpr std::uint32_t kMostHeld = 256;  // freed blocks kept out of use: each costs a mapping
constexpr std::size_t kMostRoom = std::size_t{1} << 30;

}  // namespace

template <class S>
void LargeBlocks<S>::start(const Constants& constants, Arena<S>& arena) {
  constants_ = &constants;
  arena_ = &arena;
  next_fresh_ = 1;
}

template <class S>
std::uint64_t LargeBlocks<S>::seal(const LargeRecord& record, const LargeRecord* place) const {
  const Key& key = constants_->keys.record;
  const std::uint64_t kind = static_cast<std::uint64_t>(record.family) << 4 |
                             static_cast<std::uint64_t>(record.state) << 2 | static_cast<std::uint64_t>(record.guard);
  return multiply_fold(record.base ^ key.a, record.usable ^ key.b) ^
         multiply_fold(record.requested ^ key.b, record.usable ^ key.a) ^
         multiply_fold(record.mapping ^ key.b ^ kind << 56, record.mapping_bytes ^ key.a ^ address_of(place));
}

template <class S>
void LargeBlocks<S>::set_state(LargeRecord& record, LargeRecord::State state) {
  record.state = state;
  record.seal = seal(record, &record);
}

template <class S>
std::uint32_t LargeBlocks<S>::take_record() {
  if (unused_ != 0) {
    const std::uint32_t number = unused_;
    if (number >= next_fresh_ || !verifies(at(number)) || at(number).state != LargeRecord::State::unused) {
      constants_->die({.fault = Fault::corrupt_record, .rule = "the list of unused large-block records is broken"});
    }
    unused_ = at(number).next;
    return number;
  }
  const std::uint32_t block = next_fresh_ / kPerBlock;
  if (block == kBlocks) return 0;
  if (blocks_[block] == nullptr) {
    blocks_[block] = static_cast<LargeRecord*>(arena_->metadata(kPerBlock * sizeof(LargeRecord)));
    if (blocks_[block] == nullptr) return 0;
  }
  return next_fresh_++;
}

template <class S>
void LargeBlocks<S>::forget(std::uint32_t number) {
  LargeRecord& record = at(number);
  record.base = record.usable = record.requested = record.mapping = record.mapping_bytes = 0;
  record.guard = GuardKind::none;
  set_state(record, LargeRecord::State::unused);
  record.next = unused_;
  unused_ = number;
}

template <class S>
void LargeBlocks<S>::register_units(const LargeRecord& record, RegistryEntry entry) {
  for (std::size_t offset = 0; offset != record.mapping_bytes; offset += kUnit) {
    arena_->registry.set(record.mapping + offset, entry);
  }
}

template <class S>
char* LargeBlocks<S>::map_units(std::size_t bytes) {
  for (;;) {
    void* const start = arena_->pages.map(bytes, arena_->random_place(bytes));
    if (start != nullptr) return static_cast<char*>(start);
    // Address space is short: what is kept out of use goes first, the oldest before the others.
    if (held_first_ == 0 || !drop_oldest_held()) return nullptr;
  }
}

template <class S>
void* LargeBlocks<S>::allocate(const Request& request, std::size_t alignment) {
  return allocate(request, alignment, true, 0);
}

template <class S>
void* LargeBlocks<S>::allocate(const Request& request, std::size_t alignment, bool may_spare, std::size_t room) {
  const std::size_t page = constants_->page;
  const std::size_t wanted_alignment = alignment < page ? page : alignment;
  // All sums stay far from overflow: size is at most PTRDIFF_MAX, and so is alignment.
  const std::size_t usable = pages_for(request.size);
  const std::size_t slop = wanted_alignment > page ? wanted_alignment : 0;
  if (usable > SIZE_MAX / 4 || slop > SIZE_MAX / 4) return nullptr;
  std::size_t bytes = align_up(page + slop + usable + room + page, kUnit);
  const std::uint32_t number = take_record();
  if (number == 0) return nullptr;
  LargeRecord& record = at(number);
  char* start = map_units(bytes);
  if (start == nullptr || !arena_->registry.prepare(arena_->pages, address_of(start), bytes)) {
    if (start != nullptr) (void)arena_->pages.unmap(start, bytes);
    forget(number);
    return nullptr;
  }
  const std::uintptr_t base = align_up(address_of(start) + page, wanted_alignment);
  // What the alignment did not need goes back, in whole units.
  const std::uintptr_t first = align_down(base - page, kUnit);
  if (first != address_of(start) && arena_->pages.unmap(start, first - address_of(start))) {
    bytes -= first - address_of(start);
    start += first - address_of(start);
  }
  const std::uintptr_t last = align_up(base + usable + room + page, kUnit);
  if (last < address_of(start) + bytes &&
      arena_->pages.unmap(reinterpret_cast<void*>(last), address_of(start) + bytes - last)) {
    bytes = last - address_of(start);
  }
  if (may_spare && !use_spare(base, usable)) {
    (void)arena_->pages.unmap(start, bytes);
    forget(number);
    return nullptr;
  }
  record.base = base;
  record.usable = usable;
  record.requested = request.size;
  record.family = request.family;
  record.mapping = address_of(start);
  record.mapping_bytes = bytes;
  record.guard = arena_->guard_pair(start, base - record.mapping, reinterpret_cast<void*>(base + usable),
                                    record.mapping + bytes - (base + usable), room != 0);
  record.next = 0;
  set_state(record, LargeRecord::State::live);
  arena_->counts.mapped_bytes += bytes;
  register_units(record, RegistryEntry::of_large(number));
  ++live_count;
  ++served;
  add_live_bytes(usable);
  return reinterpret_cast<void*>(base);
}

template <class S>
LargeRecord* LargeBlocks<S>::find_live(const void* pointer, RegistryEntry entry, Fault freed_fault) {
  const std::uint32_t number = entry.record();
  if (number == 0 || number >= next_fresh_) {
    constants_->die({.fault = Fault::corrupt_record,
                     .rule = "the registry names a large-block record that does not exist",
                     .address = pointer});
  }
  LargeRecord& record = at(number);
  if (!verifies(record) || record.state == LargeRecord::State::unused) {
    constants_->die(fault_at(Fault::corrupt_record, "the record of a large block does not verify", record, pointer));
  }
  if (address_of(pointer) != record.base) {
    constants_->die(fault_at(address_of(pointer) % 8 != 0 ? Fault::misaligned_pointer : Fault::interior_pointer,
                             "the address is not the start of the large block", record, pointer));
  }
  if (record.state != LargeRecord::State::live) {
    constants_->die(fault_at(freed_fault, "the large block was freed before", record, pointer));
  }
  return &record;
}

template <class S>
FaultRecord LargeBlocks<S>::fault_at(Fault fault, const char* rule, const LargeRecord& record,
                                     const void* address) const {
  return {.fault = fault,
          .rule = rule,
          .address = address,
          .chunk = reinterpret_cast<void*>(record.mapping),
          .slot_size = record.usable,
          .large = true,
          .state = record.state == LargeRecord::State::live ? "live" : "held"};
}

template <class S>
void LargeBlocks<S>::check_claim(const LargeRecord& record, const Claim& claim) const {
  const ContentRules& rules = constants_->contents;
  const auto* const base = reinterpret_cast<const void*>(record.base);
  const bool names_size = rules.sized && claim.size != Claim::kAnySize;
  // Whole pages are what a class is to slots.
  const bool size_fits = !names_size || claim.size == record.requested ||
                         (!rules.sized_exactly && pages_for(claim.size) == pages_for(record.requested));
  if (family_fits(rules, record.family, claim) && alignment_fits(rules, base, claim) && size_fits) return;
  const Mismatch mismatch = mismatch_of(rules, record.family, base, claim);
  constants_->die(fault_at(mismatch.fault, mismatch.rule, record, base));
}

template <class S>
void LargeBlocks<S>::check_slack(const LargeRecord& record) {
  const std::size_t slack = std::min(record.usable - record.requested, kFilledSlack);
  // The program may have taken its last page's access away.
  char* const end = reinterpret_cast<char*>(record.base + record.requested);
  const std::size_t page = constants_->page;
  auto* const last = reinterpret_cast<char*>(align_down(address_of(end), page));
  if (slack == 0 || !arena_->pages.permit(last, align_up(address_of(end + slack), page) - address_of(last))) return;
#if !defined(STAVE_MUTANT_large_slack_not_checked)
  for (std::size_t i = 0; i != slack; ++i) {
    if (end[i] == 0) continue;
    FaultRecord fault = fault_at(Fault::overflow, "what lies behind the allocation in its last page was changed",
                                 record, reinterpret_cast<void*>(record.base));
    fault.changed = end + i;
    constants_->die(fault);
  }
#endif
}

/// The bytes behind a block are zero, as what nobody wrote to is: no page needs memory for it.
template <class S>
void LargeBlocks<S>::note_size(LargeRecord& record, std::size_t size) {
  record.requested = size;
  set_state(record, LargeRecord::State::live);
  if (constants_->contents.exact) {
    sanitizer::zero_own(reinterpret_cast<char*>(record.base + size), std::min(record.usable - size, kFilledSlack));
  }
}

template <class S>
std::optional<LargeRecord> LargeBlocks<S>::glimpse(RegistryEntry entry) const {
  using Word [[gnu::may_alias]] = std::uint64_t;
  static_assert(sizeof(LargeRecord) % sizeof(Word) == 0);
  const std::uint32_t number = entry.record();
  if (number == 0 || number >= kBlocks * kPerBlock) return std::nullopt;
  const LargeRecord* const block = __atomic_load_n(&blocks_[number / kPerBlock], __ATOMIC_ACQUIRE);
  if (block == nullptr) return std::nullopt;
  const LargeRecord* const place = block + number % kPerBlock;
  LargeRecord seen;
  const auto* const from = reinterpret_cast<const Word*>(place);
  auto* const to = reinterpret_cast<Word*>(&seen);
  for (std::size_t i = 0; i != sizeof seen / sizeof *to; ++i) to[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
  if (seen.seal != seal(seen, place)) return std::nullopt;
  return seen;
}

template <class S>
void LargeBlocks<S>::free(LargeRecord* record, bool may_spare) {
  const std::uint32_t number = arena_->registry.find(record->base).record();
  if (constants_->contents.exact) check_slack(*record);
  --live_count;
  live_bytes -= record->usable;
  sanitizer::mark_free(reinterpret_cast<void*>(record->base), record->usable);
  arena_->forget_guard_pair(record->guard);
  record->guard = GuardKind::none;
  set_state(*record, LargeRecord::State::held);
  hold(number);
  if (!may_spare || !keep_spare(number)) withdraw(*record);
  const std::size_t most = constants_->options.quarantine_large_kb << 10;
  while (held_first_ != 0 && (held_count_ > kMostHeld || held_bytes_ > most) && drop_oldest_held()) continue;
}

/// One mapping without access takes the place of the block: its memory is gone and every stale pointer faults. Where
/// that is refused (no more mappings) at least the memory goes; the address space is kept out of use all the same.
template <class S>
void LargeBlocks<S>::withdraw(const LargeRecord& record) {
  auto* const mapping = reinterpret_cast<void*>(record.mapping);
  const bool withdrawn = arena_->pages.withdraw(mapping, record.mapping_bytes);
  if (!withdrawn) (void)arena_->pages.discard(mapping, record.mapping_bytes);
}

/// Whether most pages were written to. The kernel would know (mincore), but many a filter of system calls kills for the
/// question. So a few pages are looked at, whatever protection the program has given them: what was never written reads
/// as zero.
template <class S>
bool LargeBlocks<S>::is_dense(const LargeRecord& record) {
  constexpr unsigned kLooks = 16;
  if (!arena_->pages.permit(reinterpret_cast<void*>(record.base), record.usable)) return false;
  const std::size_t page = constants_->page;
  unsigned empty = 0;
  for (unsigned look = 0; look != kLooks && empty <= kLooks / 8; ++look) {
    const auto* const words =
        reinterpret_cast<const std::uint64_t*>(record.base + arena_->random_below(record.usable / page) * page);
    std::size_t i = 0;
    while (i != page / sizeof *words && words[i] == 0) ++i;
    if (i == page / sizeof *words) ++empty;
  }
  return empty <= kLooks / 8;
}

/// A page fault costs as much as zeroing four pages. Only dense blocks are kept: zeroing gives every page its memory.
template <class S>
bool LargeBlocks<S>::keep_spare(std::uint32_t number) {
  const LargeRecord& record = at(number);
  if (record.usable > constants_->options.spare_large_kb << 10) return false;
  if (!is_dense(record)) return false;
  if (!arena_->pages.forbid(reinterpret_cast<void*>(record.mapping), record.mapping_bytes)) return false;
  drop_spare();
  spare_ = number;
  spare_bytes_ = record.usable;
  return true;
}

template <class S>
void LargeBlocks<S>::drop_spare() {
  if (spare_ == 0) return;
  withdraw(held(spare_));
  spare_ = 0;
}

template <class S>
bool LargeBlocks<S>::use_spare(std::uintptr_t where, std::size_t bytes) {
  if (spare_ == 0 || bytes > constants_->options.spare_large_kb << 10) return true;
  const LargeRecord& spare = held(spare_);
  if (bytes > spare_bytes_) bytes = spare_bytes_;
  auto* const target = reinterpret_cast<void*>(where);
  // From the end: what is left is still at the beginning. A block that grew consists of several mappings, and only what
  // lies within one of them moves.
  while (!arena_->pages.move(reinterpret_cast<void*>(spare.base + spare_bytes_ - bytes), bytes, target)) {
    bytes = align_down(bytes / 2, constants_->page);
    if (bytes < kUnit) {
      drop_spare();
      return true;
    }
  }
  spare_bytes_ -= bytes;
  if (spare_bytes_ == 0) spare_ = 0;
  if (!arena_->pages.permit(target, bytes)) return false;
  sanitizer::zero_own(target, bytes);
  return true;
}

template <class S>
LargeRecord& LargeBlocks<S>::held(std::uint32_t number) const {
  LargeRecord& record = at(number);
  if (!verifies(record) || record.state != LargeRecord::State::held) {
    constants_->die({.fault = Fault::corrupt_record, .rule = "the queue of freed large blocks is broken"});
  }
  return record;
}

template <class S>
void LargeBlocks<S>::hold(std::uint32_t number) {
  at(number).next = 0;
  (held_first_ == 0 ? held_first_ : at(held_last_).next) = number;
  held_last_ = number;
  ++held_count_;
  held_bytes_ += at(number).mapping_bytes;
}

template <class S>
bool LargeBlocks<S>::drop_oldest_held() {
  const std::uint32_t number = held_first_;
  LargeRecord& record = held(number);
  if (number == spare_) drop_spare();
  held_first_ = record.next;
  if (held_first_ == 0) held_last_ = 0;
  --held_count_;
  held_bytes_ -= record.mapping_bytes;
  if (!arena_->pages.unmap(reinterpret_cast<void*>(record.mapping), record.mapping_bytes)) {
    hold(number);  // to be tried again: address space is not lost
    return false;
  }
  arena_->counts.mapped_bytes -= record.mapping_bytes;
  register_units(record, {});
  forget(number);
  return true;
}

template <class S>
bool LargeBlocks<S>::flush_held() {
  bool any = false;
  for (std::uint32_t tries = held_count_; tries != 0; --tries) any = drop_oldest_held() || any;
  return any;
}

template <class S>
bool LargeBlocks<S>::grow_in_place(LargeRecord& record, std::size_t size) {
  const std::size_t usable = pages_for(size);
  // A guard by advice lies on each page of the rest.
  if (record.guard == GuardKind::advice) return false;
  if (record.base + usable + constants_->page > record.mapping + record.mapping_bytes) return false;
  const std::size_t more = usable - record.usable;
  if (!arena_->pages.permit(reinterpret_cast<void*>(record.base + record.usable), more)) return false;
  record.usable = usable;
  note_size(record, size);
  ++served;
  add_live_bytes(more);
  return true;
}

template <class S>
void* LargeBlocks<S>::resize(LargeRecord* record, std::size_t size) {
  if (constants_->contents.exact) check_slack(*record);
  const std::size_t usable = pages_for(size);
  if (usable == record->usable || (usable < record->usable && usable > record->usable / 2)) {
    ++served;
    note_size(*record, size);
    return reinterpret_cast<void*>(record->base);
  }
  // Growing, or shrinking by much: a freshly guarded place, to which the pages move without being copied. That takes
  // time for each page, and is refused for a block that is several mappings: so what grew once may grow on.
  const bool grows = usable > record->usable;
  if (grows && grow_in_place(*record, size)) return reinterpret_cast<void*>(record->base);
  const std::size_t moved = grows ? record->usable : usable;
  const std::size_t room = grows ? align_down(std::min(usable / 2, kMostRoom), constants_->page) : 0;
  void* fresh = allocate({size, record->family}, constants_->page, false, room);
  if (fresh == nullptr && room != 0) fresh = allocate({size, record->family}, constants_->page, false, 0);
  if (fresh == nullptr) return nullptr;
  if (!arena_->pages.move(reinterpret_cast<void*>(record->base), moved, fresh)) {
    LargeRecord* const unwanted = &at(arena_->registry.find(address_of(fresh)).record());
    free(unwanted, false);
    return nullptr;
  }
  LargeRecord& moved_to = at(arena_->registry.find(address_of(fresh)).record());
  note_size(moved_to, size);
  record->requested = record->usable;  // nothing is left there to look at
  free(record, false);
  return fresh;
}

template class LargeBlocks<ProcessStorage>;
template class LargeBlocks<InstanceStorage>;

}  // namespace stave
