// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "heap/large.hpp"

#include <algorithm>

#include "base/mutant.hpp"
#include "os/sanitizer.hpp"

namespace stave {
namespace {

constexpr std::uint32_t kMostHeld = 256;  // freed blocks kept out of use: each costs a mapping
constexpr std::size_t kMostRoom = std::size_t{1} << 30;
constexpr std::size_t kLeastPiece = kUnit;
constexpr std::size_t kMostPieces = 64;  // of a block: what is smaller is not worth its mapping

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
  // Each field has bits of its own: two that change together cannot hide one another.
  const std::uint64_t kind = static_cast<std::uint64_t>(record.family) << 48 |
                             static_cast<std::uint64_t>(record.guard) << 40 |
                             static_cast<std::uint64_t>(record.state) << 32 | record.cut_count;
  std::uint64_t sum = multiply_fold(record.lead ^ key.a, kind ^ key.b);
  for (std::uint32_t i = 0; i != std::min(record.cut_count, LargeRecord::kMostCuts); ++i) {
    sum = multiply_fold(sum ^ key.a, record.cuts[i] ^ key.b);
  }
  return multiply_fold(record.base ^ key.a, record.usable ^ key.b) ^
         multiply_fold(record.requested ^ key.b, record.usable ^ key.a) ^
         multiply_fold(record.mapping ^ key.b, record.mapping_bytes ^ key.a ^ address_of(place)) ^
         multiply_fold(record.limit ^ key.a, sum ^ key.b);
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
  record.base = record.usable = record.lead = record.requested = record.mapping = record.mapping_bytes = record.limit =
      0;
  record.cut_count = 0;
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
std::size_t LargeBlocks<S>::random_guard() {
  if (STAVE_MUTANT(large_guards_not_random)) return constants_->page;
  return (1 + arena_->random_below(constants_->options.guard_large_pages + 1)) * constants_->page;
}

template <class S>
char* LargeBlocks<S>::map_units(std::size_t bytes) {
  for (;;) {
    void* const start = arena_->pages.map(bytes, arena_->random_place(bytes));
    if (start != nullptr) return static_cast<char*>(start);
    // Address space is short: what is kept out of use goes first, the oldest before the others.
    if (drop_spare()) continue;
    if (held_first_ == 0 || !drop_oldest_held()) return nullptr;
  }
}

template <class S>
std::size_t LargeBlocks<S>::choose_lead(const Request& request, std::size_t alignment) const {
  const std::uint64_t placement = constants_->options.sample_placement;
  if (!ends_with_pages() || request.size == 0) return 0;
  if (placement == kPlaceRandom && arena_->random_below(2) != 0) return 0;
  if (STAVE_MUTANT(large_not_placed)) return 0;
  const std::size_t rest = pages_for(request.size) - request.size;
  return placement == kPlaceExact && alignment <= kGrain ? rest : align_down(rest, alignment);
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
  std::size_t front = random_guard();
  std::size_t behind = random_guard();
  std::size_t bytes = align_up(front + slop + usable + room + behind, kUnit);
  const std::uint32_t number = take_record();
  if (number == 0) return nullptr;
  LargeRecord& record = at(number);
  char* start = map_units(bytes);
  if (start == nullptr && front + behind > 2 * page) {  // then with as little as can be
    front = behind = page;
    bytes = align_up(front + slop + usable + room + behind, kUnit);
    start = map_units(bytes);
  }
  if (start == nullptr || !arena_->registry.prepare(arena_->pages, address_of(start), bytes)) {
    if (start != nullptr) (void)arena_->pages.unmap(start, bytes);
    forget(number);
    return nullptr;
  }
  const std::uintptr_t base = align_up(address_of(start) + front, wanted_alignment);
  // What the alignment did not need goes back, in whole units.
  const std::uintptr_t first = align_down(base - front, kUnit);
  if (first != address_of(start) && arena_->pages.unmap(start, first - address_of(start))) {
    bytes -= first - address_of(start);
    start += first - address_of(start);
  }
  const std::uintptr_t last = align_up(base + usable + room + behind, kUnit);
  if (last < address_of(start) + bytes &&
      arena_->pages.unmap(reinterpret_cast<void*>(last), address_of(start) + bytes - last)) {
    bytes = last - address_of(start);
  }
  record.base = base;
  record.usable = usable;
  record.limit = base + usable + room;
  record.cut_count = 0;
  if (may_spare && !use_spare(record, 0, usable, 0)) {
    (void)arena_->pages.unmap(start, bytes);
    forget(number);
    return nullptr;
  }
  record.lead = choose_lead(request, alignment);
  record.requested = request.size;
  record.family = request.family;
  record.mapping = address_of(start);
  record.mapping_bytes = bytes;
  if (!STAVE_MUTANT(large_guards_not_laid)) {
    record.guard = arena_->guard_pair(start, base - record.mapping, reinterpret_cast<void*>(base + usable),
                                      record.mapping + bytes - (base + usable), room != 0);
  }
  record.next = 0;
  set_state(record, LargeRecord::State::live);
  arena_->counts.mapped_bytes += bytes;
  register_units(record, RegistryEntry::of_large(number));
  ++live_count;
  ++served;
  add_live_bytes(usable);
  return reinterpret_cast<void*>(record.start());
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
  if (!STAVE_MUTANT(record_not_checked) && (!verifies(record) || record.state == LargeRecord::State::unused)) {
    constants_->die(fault_at(Fault::corrupt_record, "the record of a large block does not verify", record, pointer));
  }
  if (STAVE_MUTANT(large_start_not_checked) && record.state == LargeRecord::State::live) return &record;
  if (address_of(pointer) != record.start()) {
    constants_->die(fault_at(address_of(pointer) % 8 != 0 ? Fault::misaligned_pointer : Fault::interior_pointer,
                             "the address is not the start of the large block", record, pointer));
  }
  if (STAVE_MUTANT(large_state_not_checked) && record.state == LargeRecord::State::held) return &record;
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
          .state = record.state == LargeRecord::State::live ? "live" : "held",
          .requested = record.requested,
          .family = family_name(record.family)};
}

template <class S>
void LargeBlocks<S>::check_claim(const LargeRecord& record, const Claim& claim) const {
  const ContentRules& rules = constants_->contents;
  const auto* const base = reinterpret_cast<const void*>(record.start());
  if (STAVE_MUTANT(large_claim_not_checked)) return;
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
  const std::size_t slack = std::min(record.capacity() - record.requested, kFilledSlack);
  if (record.lead != 0) check_lead(record);
  // The program may have taken its last page's access away.
  char* const end = reinterpret_cast<char*>(record.start() + record.requested);
  const std::size_t page = constants_->page;
  auto* const last = reinterpret_cast<char*>(align_down(address_of(end), page));
  if (slack == 0 || !arena_->pages.permit(last, align_up(address_of(end + slack), page) - address_of(last))) return;
  if (STAVE_MUTANT(large_slack_not_checked)) return;
  for (std::size_t i = 0; i != slack; ++i) {
    if (end[i] == 0) continue;
    FaultRecord fault = fault_at(Fault::overflow, "what lies behind the allocation in its last page was changed",
                                 record, reinterpret_cast<void*>(record.start()));
    fault.changed = end + i;
    constants_->die(fault);
  }
}

template <class S>
void LargeBlocks<S>::check_lead(const LargeRecord& record) {
  auto* const first = reinterpret_cast<char*>(record.base);
  if (!arena_->pages.permit(first, constants_->page)) return;
  if (STAVE_MUTANT(large_lead_not_checked)) return;
  for (std::size_t i = record.lead; i-- != 0;) {
    if (first[i] == 0) continue;
    FaultRecord fault = fault_at(Fault::underflow, "what lies in front of the allocation in its first page was changed",
                                 record, reinterpret_cast<void*>(record.start()));
    fault.changed = first + i;
    constants_->die(fault);
  }
}

/// The bytes behind a block are zero, as what nobody wrote to is: no page needs memory for it.
template <class S>
void LargeBlocks<S>::note_size(LargeRecord& record, std::size_t size) {
  record.requested = size;
  set_state(record, LargeRecord::State::live);
  if (constants_->contents.exact) {
    sanitizer::zero_own(reinterpret_cast<char*>(record.start() + size),
                        std::min(record.capacity() - size, kFilledSlack));
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
  if (may_spare) keep_spare(*record);
  if (!STAVE_MUTANT(freed_large_not_withdrawn)) withdraw(*record);
  const std::size_t most = constants_->options.quarantine_large_kb << 10;
  // The latest one stays, however large it is: its addresses alone are kept, and a second free at once is known.
  while (held_first_ != held_last_ && (held_count_ > kMostHeld || held_bytes_ > most) && drop_oldest_held()) continue;
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

template <class S>
void LargeBlocks<S>::cut(LargeRecord& record, std::size_t offset) {
  std::size_t* const end = record.cuts + record.cut_count;
  std::size_t* const place = std::lower_bound(record.cuts, end, offset);
  // One that finds no place is found by the kernel, which then does not move.
  if (record.cut_count == LargeRecord::kMostCuts || offset == 0 || (place != end && *place == offset)) return;
  for (std::size_t* at = end; at != place; --at) *at = at[-1];
  *place = offset;
  ++record.cut_count;
}

template <class S>
std::size_t LargeBlocks<S>::end_of_piece(const LargeRecord& record, std::size_t from, std::size_t to) {
  const std::size_t* const end = record.cuts + record.cut_count;
  const std::size_t* const place = std::upper_bound(record.cuts, end, from);
  return place == end ? to : std::min(*place, to);
}

template <class S>
auto LargeBlocks<S>::move(std::uintptr_t source, std::size_t bytes, std::uintptr_t target) -> Moved {
  auto* const place = reinterpret_cast<void*>(target);
  if (arena_->pages.move(reinterpret_cast<void*>(source), bytes, place)) return Moved::yes;
  return arena_->pages.renew(place, bytes) ? Moved::no : Moved::target_lost;
}

/// Pages lie in pieces with gaps between them, so twice the room that they need. For a few blocks like the one that
/// comes: what is kept of small ones shall not take much of a small address space.
template <class S>
bool LargeBlocks<S>::make_spare_room(std::size_t bytes) {
  const std::size_t most = align_up(2 * spare_limit(), kUnit);
  if (spare_room_ == most || 2 * (spare_bytes_ + bytes) <= spare_room_) return true;
  const std::size_t room = std::min(most, align_up(std::max(8 * bytes, 2 * spare_room_), kUnit));
  if (spare_room_ != 0 && (!drop_spare() || spare_room_ != 0)) return false;
  const std::size_t mapped = kUnit + room + kUnit;
  void* const start = arena_->pages.map(mapped, arena_->random_place(mapped));
  if (start == nullptr) return false;
  if (!arena_->pages.withdraw(start, mapped)) {
    (void)arena_->pages.unmap(start, mapped);
    return false;
  }
  arena_->counts.mapped_bytes += mapped;
  spare_start_ = address_of(start) + kUnit;
  spare_room_ = room;
  return true;
}

template <class S>
bool LargeBlocks<S>::drop_spare() {
  if (spare_room_ == 0) return false;
  const std::size_t mapped = kUnit + spare_room_ + kUnit;
  if (!arena_->pages.unmap(reinterpret_cast<void*>(spare_start_ - kUnit), mapped)) {
    const bool any = spare_count_ != 0;
    while (spare_count_ != 0) drop_spare_piece(spare_count_ - 1);
    return any;
  }
  arena_->counts.mapped_bytes -= mapped;
  spare_room_ = spare_bytes_ = 0;
  spare_count_ = 0;
  return true;
}

template <class S>
void LargeBlocks<S>::remove_spare_piece(std::uint32_t number) {
  spare_bytes_ -= spare_pieces_[number].bytes;
  --spare_count_;
  std::copy(spare_pieces_ + number + 1, spare_pieces_ + spare_count_ + 1, spare_pieces_ + number);
}

template <class S>
void LargeBlocks<S>::drop_spare_piece(std::uint32_t number) {
  const Piece piece = spare_pieces_[number];
  auto* const start = reinterpret_cast<void*>(piece.start);
  if (!arena_->pages.withdraw(start, piece.bytes)) (void)arena_->pages.discard(start, piece.bytes);
  remove_spare_piece(number);
}

template <class S>
bool LargeBlocks<S>::keep_pieces(const LargeRecord& record, std::size_t from, std::size_t to) {
  const std::size_t bytes = std::min(to - from, spare_limit() - spare_bytes_);
  std::uint32_t pieces = 0;
  for (std::size_t at = from; at != from + bytes; at = end_of_piece(record, at, from + bytes)) ++pieces;
  if (bytes < kLeastPiece || pieces > kMostSparePieces - spare_count_) return false;
  std::uintptr_t start = spare_start_;
  std::uint32_t number = 0;
  while (number != spare_count_ && spare_pieces_[number].start - start < bytes) {
    start = spare_pieces_[number].start + spare_pieces_[number].bytes;
    ++number;
  }
  if (bytes > spare_start_ + spare_room_ - start) return false;
  if (move(record.base + from, bytes, start) != Moved::yes) return false;
  std::copy_backward(spare_pieces_ + number, spare_pieces_ + spare_count_, spare_pieces_ + spare_count_ + pieces);
  spare_count_ += pieces;
  spare_bytes_ += bytes;
  for (std::size_t at = from; at != from + bytes;) {
    const std::size_t end = end_of_piece(record, at, from + bytes);
    spare_pieces_[number++] = {start + (at - from), end - at};
    at = end;
  }
  return true;
}

/// A page fault costs as much as zeroing fifteen pages, and moving a page next to nothing. Only dense blocks are kept:
/// who uses them gets memory for every page.
template <class S>
void LargeBlocks<S>::keep_spare(const LargeRecord& record) {
  if (record.usable > spare_limit() || !is_dense(record) || !make_spare_room(record.usable)) return;
  if ((!moves_one_ || record.cut_count == 0) && keep_pieces(record, 0, record.usable)) return;
  for (std::size_t from = 0; record.cut_count != 0 && from != record.usable;) {
    const std::size_t to = end_of_piece(record, from, record.usable);
    if (keep_pieces(record, from, to)) moves_one_ = true;
    from = to;
  }
}

/// The largest piece that is not too large, or else the smallest one.
template <class S>
std::uint32_t LargeBlocks<S>::best_spare_piece(std::size_t bytes) const {
  std::uint32_t best = 0;
  for (std::uint32_t i = 1; i != spare_count_; ++i) {
    const std::size_t now = spare_pieces_[best].bytes;
    const std::size_t other = spare_pieces_[i].bytes;
    if (other <= bytes ? other > now || now > bytes : other < now) best = i;
  }
  return best;
}

/// Pieces are used whole where they fit, and what would be left of one in small parts goes: each cut is one more
/// mapping, and one more call whenever the pages move.
template <class S>
bool LargeBlocks<S>::use_spare(LargeRecord& record, std::size_t from, std::size_t to, std::uint32_t cuts) {
  if (record.usable > spare_limit()) return true;
  const std::size_t least = std::max(kLeastPiece, record.usable / kMostPieces);
  while (to - from >= least && spare_count_ != 0 && record.cut_count + cuts + 2 <= LargeRecord::kMostCuts) {
    const std::uint32_t number = best_spare_piece(to - from);
    Piece& piece = spare_pieces_[number];
    const std::size_t bytes = std::min(piece.bytes, to - from);
    const auto moved = move(piece.start, bytes, record.base + from);
    if (moved == Moved::target_lost) return false;
    if (moved == Moved::no) {
      drop_spare_piece(number);
      continue;
    }
    piece.start += bytes;
    piece.bytes -= bytes;
    spare_bytes_ -= bytes;
    if (piece.bytes == 0) {
      remove_spare_piece(number);
    } else if (piece.bytes < least) {
      drop_spare_piece(number);
    }
    if (!STAVE_MUTANT(spare_not_zeroed)) sanitizer::zero_own(reinterpret_cast<void*>(record.base + from), bytes);
    cut(record, from);
    from += bytes;
    cut(record, from);
  }
  return true;
}

template <class S>
void LargeBlocks<S>::die_of_queue() const {
  constants_->die({.fault = Fault::corrupt_record, .rule = "the queue of freed large blocks is broken"});
}

template <class S>
LargeRecord& LargeBlocks<S>::held(std::uint32_t number) const {
  if (number == 0 || number >= next_fresh_) die_of_queue();
  LargeRecord& record = at(number);
  if (!STAVE_MUTANT(queue_not_checked) && (!verifies(record) || record.state != LargeRecord::State::held)) {
    die_of_queue();
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
  bool any = drop_spare();
  for (std::uint32_t tries = held_count_; tries != 0; --tries) any = drop_oldest_held() || any;
  return any;
}

template <class S>
bool LargeBlocks<S>::grow_in_place(LargeRecord& record, std::size_t size) {
  const std::size_t usable = pages_for(size);
  // A guard by advice lies on each page of the rest.
  if (record.guard == GuardKind::advice) return false;
  if (usable > record.limit - record.base) return false;
  const std::size_t more = usable - record.usable;
  if (!arena_->pages.permit(reinterpret_cast<void*>(record.base + record.usable), more)) return false;
  sanitizer::mark_vacant(reinterpret_cast<void*>(record.base + record.usable), more);
  const bool good = use_spare(record, record.usable, usable, 0);
  if (!good) {
    (void)arena_->pages.forbid(reinterpret_cast<void*>(record.base + record.usable), more);
    set_state(record, LargeRecord::State::live);
    return false;
  }
  record.usable = usable;
  note_size(record, size);
  ++served;
  add_live_bytes(more);
  return true;
}

template <class S>
bool LargeBlocks<S>::move_block(const LargeRecord& record, std::size_t bytes, LargeRecord& target) {
  // Never several mappings by one call: of those the kernel may move some and fail.
  for (std::size_t from = 0; from != bytes;) {
    const std::size_t to = end_of_piece(record, from, bytes);
    if (move(record.base + from, to - from, target.base + from) != Moved::yes) {
      if (from == 0) return false;
      // What was moved does not come back: the rest follows.
      sanitizer::copy_own(reinterpret_cast<void*>(target.base + from), reinterpret_cast<void*>(record.base + from),
                          to - from);
    }
    cut(target, to);
    from = to;
  }
  return true;
}

template <class S>
void* LargeBlocks<S>::resize(LargeRecord* record, std::size_t size) {
  if (constants_->contents.exact) check_slack(*record);
  if (ends_with_pages()) return size == record->requested ? reinterpret_cast<void*>(record->start()) : nullptr;
  const std::size_t usable = pages_for(size);
  if (usable == record->usable || (usable < record->usable && usable > record->usable / 2)) {
    ++served;
    note_size(*record, size);
    return reinterpret_cast<void*>(record->base);
  }
  // Growing, or shrinking by much: a freshly guarded place, to which the pages move without being copied. That takes
  // some calls for each piece: so what grew once may grow on.
  const bool grows = usable > record->usable;
  if (grows && grow_in_place(*record, size)) return reinterpret_cast<void*>(record->base);
  const std::size_t kept = grows ? record->usable : usable;
  const std::size_t room = grows ? std::min(usable, kMostRoom) : 0;
  void* start = allocate({size, record->family}, constants_->page, false, room);
  if (start == nullptr && room != 0) start = allocate({size, record->family}, constants_->page, false, 0);
  if (start == nullptr) return nullptr;
  LargeRecord& fresh = at(arena_->registry.find(address_of(start)).record());
  const bool moved = use_spare(fresh, kept, usable, record->cut_count + 1) && move_block(*record, kept, fresh);
  set_state(fresh, LargeRecord::State::live);
  if (!moved) {
    free(&fresh, false);
    return nullptr;
  }
  note_size(fresh, size);
  record->requested = record->usable;  // nothing is left there to look at
  free(record, false);
  return start;
}

template class LargeBlocks<ProcessStorage>;
template class LargeBlocks<InstanceStorage>;

}  // namespace stave
