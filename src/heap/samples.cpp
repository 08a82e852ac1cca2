// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "heap/samples.hpp"

#include <algorithm>
#include <bit>

#include "base/mutant.hpp"
#include "heap/allocator.hpp"
#include "heap/instantiate.hpp"
#include "heap/process.hpp"
#include "os/call_stack.hpp"
#include "os/sanitizer.hpp"

namespace stave {
namespace {

constexpr std::uint64_t kNobody = ~std::uint64_t{0};  // the stream of Samples::random: no heap has it
constexpr std::uint64_t kEachByte = 0x8080'8080'8080'8080;
constexpr std::uint64_t kMappings = 2;     // what a live sample costs where guards are by protection
constexpr std::uint32_t kLargePools = 16;  // so many times fewer places for large slots

/// A number below `limit` out of 32 random bits.
std::size_t below(std::uint32_t bits, std::size_t limit) { return bits * std::uint64_t{limit} >> 32; }

/// Calls visit(word, mask of those of its bytes) for the words that hold the bytes [from, to), until it says true.
template <class Visit>
bool visit_words(std::uintptr_t from, std::uintptr_t to, Visit visit) {
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  const auto word = [](std::uintptr_t at) { return reinterpret_cast<std::uint64_t*>(align_down(at, kWord)); };
  const std::uint64_t from_on = kAll << from % kWord * 8;
  const std::uint64_t before_to = ~(kAll << to % kWord * 8);
  if (word(from) == word(to)) return visit(word(from), from_on & before_to);
  if (from % kWord != 0 && visit(word(from), from_on)) return true;
  for (std::uint64_t* at = word(from + kWord - 1); at != word(to); ++at) {
    if (visit(at, kAll)) return true;
  }
  return to % kWord != 0 && visit(word(to), before_to);
}

/// The same for all bytes of a sample's pages that are not its own.
template <class Visit>
bool visit_around(const SampleRecord& record, Visit visit) {
  const std::uintptr_t end = record.base + record.requested;
  const std::uintptr_t last = record.data + record.data_bytes;
  return (record.data != record.base && visit_words(record.data, record.base, visit)) ||
         (end != last && visit_words(end, last, visit));
}

}  // namespace

template <class S>
void Samples<S>::start(const Constants& constants, Arena<S>& arena, std::uint64_t from_kernel, std::size_t most_units) {
  constants_ = &constants;
  arena_ = &arena;
  const Options& options = constants.options;
  seed = options.sample_seed != 0 ? options.sample_seed : (from_kernel >> 1) | 1;
  random.start(seed_from_number(seed), kNobody);
  if (options.sample_interval == 0 || options.guard_pages == 0) return;
  const std::size_t page = constants.page;
  const auto pool = [&](std::size_t least, std::size_t places, std::size_t units) {
    const std::size_t bytes = std::max(least, 4 * page);
    const std::size_t most = std::min(align_up(places, kStep), align_down(units / (bytes / kUnit), kStep));
    return Pool{.place_bytes = bytes, .most = static_cast<std::uint32_t>(most)};
  };
  pools_[0] = pool(kUnit, options.sample_pool, most_units);
  if (options.sample_interval == 1) {
    pools_[1] = pool(2 * std::bit_ceil(kLargestSlot), options.sample_pool / kLargePools, most_units / 2);
  }
}

template <class S>
std::uint64_t Samples<S>::seal(const SampleRecord& record) const {
  const Key& key = constants_->keys.record;
  // Each field has bits of its own: two that change together cannot hide one another.
  const std::uint64_t kind = static_cast<std::uint64_t>(record.family) << 48 |
                             static_cast<std::uint64_t>(record.guard) << 40 |
                             static_cast<std::uint64_t>(record.state) << 32 | record.data_bytes;
  return multiply_fold(record.base ^ key.a, record.requested ^ key.b) ^
         multiply_fold(record.place ^ key.b, record.data ^ key.a) ^
         multiply_fold(record.order ^ key.b, kind ^ key.a ^ address_of(&record));
}

template <class S>
bool Samples<S>::add_step(std::uint8_t index) {
  Pool& pool = pools_[index];
  if (pool.refused || pool.count == pool.most || step_count_ == kMostSteps) return false;
  // Where address space is short, it is for the program: beyond the first places, a sixteenth of what there is.
  const bool all = constants_->options.sample_interval == 1;
  const std::size_t then = (pool.count + kStep) * pool.place_bytes;
  if (!all && pool.count != 0 && then > arena_->counts.mapped_bytes / 16) return false;
  if (pool.ring == nullptr) {
    pool.ring = static_cast<std::uint32_t*>(arena_->metadata(pool.most * sizeof(std::uint32_t)));
    if (pool.ring == nullptr) return false;
  }
  auto* records = static_cast<SampleRecord*>(arena_->metadata(kStep * sizeof(SampleRecord)));
  if (records == nullptr) return false;
  const std::size_t bytes = kStep * pool.place_bytes;
  auto* const start = static_cast<char*>(arena_->pages.map(bytes, arena_->random_place(bytes)));
  GuardKind guard = GuardKind::none;
  if (start != nullptr && arena_->registry.prepare(arena_->pages, address_of(start), bytes)) {
    guard = arena_->advises() && arena_->pages.guard_install(start, bytes) ? GuardKind::advice
            : arena_->pages.withdraw(start, bytes)                         ? GuardKind::protection
                                                                           : GuardKind::none;
  }
  if (guard == GuardKind::none) {
    // The records are lost, and the pool does not grow any more: a kernel that said no is not asked again and again.
    if (start != nullptr) (void)arena_->pages.unmap(start, bytes);
    pool.refused = true;
    return false;
  }
  sanitizer::mark_vacant(start, bytes);
  arena_->counts.mapped_bytes += bytes;
  steps_[step_count_] = {.records = records, .pool = index};
  for (std::uint32_t i = 0; i != kStep; ++i) {
    const std::uint32_t number = step_count_ * kStep + i + 1;
    SampleRecord& record = records[i];
    record.place = record.data = address_of(start) + i * pool.place_bytes;
    record.guard = guard;
    record.seal = seal(record);
    for (std::size_t unit = 0; unit != pool.place_bytes; unit += kUnit) {
      arena_->registry.set(record.place + unit, RegistryEntry::of_sample(number));
    }
    pool.ring[(pool.first + pool.idle++) % pool.most] = number;
  }
  pool.count += kStep;
  ++step_count_;
  return true;
}

template <class S>
bool Samples<S>::takes(std::size_t requested, std::size_t alignment) const {
  const Pool& largest = pools_[pools_[1].most != 0 ? 1 : 0];
  return largest.most != 0 && requested != 0 && alignment <= constants_->page && requested <= most_data(largest);
}

template <class S>
bool Samples<S>::open(GuardKind guard, void* data, std::size_t bytes) {
  if (guard == GuardKind::advice) return arena_->pages.guard_remove(data, bytes);
  if (!arena_->spend_mappings(kMappings)) return false;
  if (arena_->pages.permit(data, bytes)) return true;
  arena_->return_mappings(kMappings);
  return false;
}

/// Locked memory refuses the advice. Then the whole place becomes a mapping without access: its next sample lies
/// elsewhere in it, where the advice still stands.
template <class S>
bool Samples<S>::close(SampleRecord& record, std::size_t place_bytes) {
  if (STAVE_MUTANT(sample_not_closed)) return true;
  auto* const data = reinterpret_cast<void*>(record.data);
  if (record.guard == GuardKind::protection) {
    if (!arena_->pages.withdraw(data, record.data_bytes)) return false;
    arena_->return_mappings(kMappings);
    return true;
  }
  if (arena_->pages.guard_install(data, record.data_bytes)) return true;
  if (!arena_->pages.withdraw(reinterpret_cast<void*>(record.place), place_bytes)) return false;
  record.guard = GuardKind::protection;
  return true;
}

template <class S>
const void* Samples<S>::changed_around(const SampleRecord& record) const {
  if (STAVE_MUTANT(sample_not_checked)) return nullptr;
  const void* changed = nullptr;
  (void)visit_around(record, [&, fill = record.fill](const std::uint64_t* word, std::uint64_t bytes) {
    const std::uint64_t difference = (*word ^ fill) & bytes;
    if (difference != 0) changed = reinterpret_cast<const char*>(word) + std::countr_zero(difference) / 8;
    return difference != 0;
  });
  return changed;
}

template <class S>
void Samples<S>::check_around(const SampleRecord& record) const {
  const void* const changed = changed_around(record);
  if (changed == nullptr) return;
  FaultRecord fault = describe(record);
  const bool behind = address_of(changed) > record.base;
  fault.fault = behind ? Fault::overflow : Fault::underflow;
  fault.rule = behind ? "what is laid behind the sample was changed" : "what is laid before the sample was changed";
  fault.changed = changed;
  constants_->die(fault);
}

template <class S>
void* Samples<S>::allocate(const Wish& wish) {
  const std::uint8_t index = wish.request.size <= most_data(pools_[0]) ? 0 : 1;
  Pool& pool = pools_[index];
  // More places rather than soon the same again.
  if (2 * pool.idle <= pool.count) (void)add_step(index);
  if (pool.idle == 0) return nullptr;
  const auto bits = static_cast<std::uint32_t>(wish.choice);
  std::uint32_t& first = pool.ring[pool.first];
  const std::size_t waited = STAVE_MUTANT(sample_place_not_held) ? pool.idle - 1 : below(bits, (pool.idle + 1) / 2);
  std::uint32_t& chosen = pool.ring[(pool.first + waited) % pool.most];
  SampleRecord& record = at(chosen);
  if (!STAVE_MUTANT(ring_not_checked) && (!verifies(record) || (record.state != SampleRecord::State::unused &&
                                                                record.state != SampleRecord::State::held))) {
    constants_->die({.fault = Fault::corrupt_record, .rule = "the ring of waiting samples is broken"});
  }
  const std::size_t page = constants_->page;
  const std::size_t data_bytes = align_up(wish.request.size, page);
  const std::size_t choices = (pool.place_bytes - data_bytes) / page - 1;
  const std::uintptr_t data = record.place + page * (1 + below(static_cast<std::uint32_t>(wish.choice >> 32), choices));
  if (!open(record.guard, reinterpret_cast<void*>(data), data_bytes)) return nullptr;
  record.data = data;
  record.data_bytes = static_cast<std::uint32_t>(data_bytes);
  std::swap(first, chosen);
  pool.first = (pool.first + 1) % pool.most;
  --pool.idle;
  const std::uint64_t placement = constants_->options.sample_placement;
  const bool left = placement == kPlaceLeft || (placement == kPlaceRandom && (wish.fill & 1) != 0);
  const std::size_t alignment = placement == kPlaceExact && wish.alignment <= kGrain ? 1 : wish.alignment;
  const std::uintptr_t last = record.data + record.data_bytes - wish.request.size;
  record.base = left ? record.data : align_down(last, alignment);
  record.requested = wish.request.size;
  record.order = ++served;
  record.fill = wish.fill | kEachByte;  // no byte is zero, a small number or text, which most overflows write
  record.family = wish.request.family;
  record.state = SampleRecord::State::live;
  record.seal = seal(record);
  record.freed.count = 0;
  take_calls(wish.frame, record.allocated);
  (void)visit_around(record, [fill = record.fill](std::uint64_t* word, std::uint64_t bytes) {
    *word = bytes == ~std::uint64_t{0} ? fill : *word | (fill & bytes);  // fresh pages are zero
    return false;
  });
  sanitizer::mark_live(reinterpret_cast<void*>(record.base), record.requested,
                       record.data + record.data_bytes - record.base);
  ++live_count;
  live_bytes += record.requested;
  return reinterpret_cast<void*>(record.base);
}

template <class S>
const SampleRecord* Samples<S>::look(RegistryEntry entry) const {
  if (entry.record() == 0 || entry.record() > step_count_ * kStep) return nullptr;
  const SampleRecord& record = at(entry.record());
  if (STAVE_MUTANT(sample_record_not_checked)) return &record;
  return verifies(record) ? &record : nullptr;
}

template <class S>
FaultRecord Samples<S>::describe(const SampleRecord& record) const {
  return {.address = reinterpret_cast<void*>(record.base),
          .chunk = reinterpret_cast<void*>(record.place),
          .slot_size = record.requested,
          .state = record.state == SampleRecord::State::live     ? "live"
                   : record.state == SampleRecord::State::unused ? "never-used"
                                                                 : "held",
          .requested = record.requested,
          .family = family_name(record.family),
          .sample = record.order,
          .sample_seed = seed,
          .allocated = &record.allocated,
          .freed = &record.freed};
}

template <class S>
SampleRecord& Samples<S>::find(const void* pointer, RegistryEntry entry) const {
  const SampleRecord* const record = look(entry);
  if (record == nullptr) {
    constants_->die(
        {.fault = Fault::corrupt_record, .rule = "the record of a guarded sample does not verify", .address = pointer});
  }
  return at(entry.record());
}

template <class S>
SampleRecord* Samples<S>::find_live(const void* pointer, RegistryEntry entry, Fault freed_fault) {
  SampleRecord& record = find(pointer, entry);
  if (STAVE_MUTANT(sample_state_not_checked) && address_of(pointer) == record.base) return &record;
  if (address_of(pointer) == record.base && record.state == SampleRecord::State::live) return &record;
  FaultRecord fault = describe(record);
  fault.address = pointer;
  if (address_of(pointer) == record.base) {
    fault.fault = freed_fault;
    fault.rule = "the sample was freed before";
  } else {
    fault.fault = address_of(pointer) % 8 != 0 ? Fault::misaligned_pointer : Fault::interior_pointer;
    fault.rule = "the address is not the start of the sample whose place this is";
  }
  constants_->die(fault);
}

template <class S>
const SampleRecord* Samples<S>::find_around(const void* address, RegistryEntry entry) const {
  const SampleRecord* const record = look(entry);
  if (record == nullptr || record->state != SampleRecord::State::live) return nullptr;
  return address_of(address) - record->base < record->requested ? record : nullptr;
}

template <class S>
void Samples<S>::check_claim(const SampleRecord& record, const Claim& claim) const {
  const ContentRules& rules = constants_->contents;
  const auto* const base = reinterpret_cast<const void*>(record.base);
  if (STAVE_MUTANT(sample_claim_not_checked)) return;
  // A size of the same class may be named where sizes are not exact: the record does not know classes, and is exact.
  const bool size_fits = !rules.sized_exactly || claim.size == Claim::kAnySize || claim.size == record.requested;
  if (family_fits(rules, record.family, claim) && alignment_fits(rules, base, claim) && size_fits) return;
  const Mismatch mismatch = mismatch_of(rules, record.family, base, claim);
  FaultRecord fault = describe(record);
  fault.fault = mismatch.fault;
  fault.rule = mismatch.rule;
  constants_->die(fault);
}

template <class S>
void Samples<S>::free(SampleRecord* record, const void* frame) {
  const std::uint32_t number = arena_->registry.find(record->base).record();
  take_calls(frame, record->freed);
  check_around(*record);
  --live_count;
  live_bytes -= record->requested;
  sanitizer::mark_vacant(reinterpret_cast<void*>(record->data), record->data_bytes);
  Pool& pool = pools_[steps_[(number - 1) / kStep].pool];
  const bool closed = close(*record, pool.place_bytes);
  record->state = closed ? SampleRecord::State::held : SampleRecord::State::stuck;
  record->seal = seal(*record);
  if (!closed) return;
  pool.ring[(pool.first + pool.idle++) % pool.most] = number;
}

template class Samples<ProcessStorage>;
template class Samples<InstanceStorage>;

// --- of Allocator ---------------------------------------------------------------------------------------------------

template <class S>
void* Allocator<S>::allocate_sample(ThreadHeap& heap, Request request, std::size_t alignment, const void* frame) {
  if constexpr (S::kProcess) {
    if (!process_is_started()) (void)process_heap_slow();
  }
  const std::uint64_t interval = constants.options.sample_interval;
  if (!samples.takes(request.size, alignment)) {
    if (!samples.any() && !heap.is_busy()) heap.sample_at = UINT64_MAX;
    return nullptr;
  }
  typename Samples<S>::Wish wish{.request = request, .alignment = alignment, .choice = 0, .fill = 0, .frame = frame};
  void* sample = nullptr;
  if (heap.is_busy()) {
    // A signal handler that interrupted its own heap, or a thread that has none yet.
    if (interval != 1) return nullptr;
    const ArenaLocked<S> locked(arena, constants);
    wish.choice = samples.random.take64();
    wish.fill = samples.random.take64();
    return samples.allocate(wish);
  }
  follow_trim(heap);  // where all are samples, this is where a heap looks for memory
  heap.enter();
  const bool first = !heap.samples;
  if (first) heap.sample_random.start(seed_from_number(samples.seed), heap.index);
  heap.samples = true;
  heap.sample_at = heap.served + heap.sample_random.below(2 * interval - 1);  // on average as many as the interval
  if (!first || interval == 1) {
    wish.choice = heap.sample_random.take64();
    wish.fill = heap.sample_random.take64();
    const ArenaLocked<S> locked(arena, constants);
    sample = samples.allocate(wish);
  }
  heap.leave();
  return sample;
}

template <class S>
void* Allocator<S>::allocate_sampled(ThreadHeap& heap, SizeClass cls, Request request) {
  if (void* const sample = allocate_sample(heap, request, kGrain, __builtin_frame_address(0))) return sample;
  return allocate_in_class(heap, cls, request);
}

template <class S>
void Allocator<S>::free_sample(void* pointer, Claim claim) {
  const void* const frame = __builtin_frame_address(0);
  yield("free-before-lock");
  const ArenaLocked<S> locked(arena, constants);
  SampleRecord* const record = samples.find_live(pointer, arena.registry.find(address_of(pointer)), Fault::double_free);
  samples.check_claim(*record, claim);
  samples.free(record, frame);
}

template <class S>
std::size_t Allocator<S>::size_of_sample(const void* pointer, Fault freed_fault, const Claim& claim) {
  const ArenaLocked<S> locked(arena, constants);
  const SampleRecord* const record = samples.find_live(pointer, arena.registry.find(address_of(pointer)), freed_fault);
  samples.check_claim(*record, claim);
  if (!claim.any_family) samples.check_around(*record);  // who resizes frees, though the sample may stay
  return record->requested;
}

#define STAVE_SAMPLES(S)                                                                        \
  template void* Allocator<S>::allocate_sample(ThreadHeap&, Request, std::size_t, const void*); \
  template void* Allocator<S>::allocate_sampled(ThreadHeap&, SizeClass, Request);               \
  template void Allocator<S>::free_sample(void*, Claim);                                        \
  template std::size_t Allocator<S>::size_of_sample(const void*, Fault, const Claim&);
STAVE_INSTANTIATE(STAVE_SAMPLES);

}  // namespace stave
