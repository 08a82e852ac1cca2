// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs operations on a heap beside a model of it, and judges each answer. One interpreter for model tests and fuzzers.
//
// What every heap owes, checked after every operation (or, when sampled, where the operation acted):
//   P1  no two live allocations have a byte in common, and all lie in the heap's region and can be touched
//   P2  contents stay until the owner changes them
//   P3  addresses are multiples of 16 and of the alignment that was asked for
//   P4  the usable size is at least what was asked for, and does not change
//   P5  calloc gives zeroes
//   P6  realloc keeps the first min(old, new) bytes; when it fails, everything stays as it was
//   P7  what cannot be served is answered by nullptr and ENOMEM, or EINVAL for a bad alignment; free keeps errno
//   P8  a refusal needs a reason: an impossible size, a system call that failed, or address space that is short
//   P9  counts equal the model's
//   P10 verify() holds
//   P11 no fault is reported, unless the operation is a misuse, which must end with the fault that it names
//   P12 under AddressSanitizer what is live is addressable; slack is not before the usable size was asked for, and what
//       is freed is not
//   P13 when nothing is live and all threads are gone, trim leaves nothing in use
//   P14 after an attack, what props/aftermath.hpp says; and P1, P2, P3 and P5 all the same
//   P15 of what threads were doing that a fork left behind, frees that had marked their slot are finished, and nothing
//       else has happened
//
// One operation may be carried out in the middle of another, by another thread (interleave). What is being freed is in
// the model until the call returns: no yield point lies between the moment from which the heap may hand an address out
// again and the end of the call that freed it. P9 and P10 are for when nobody is inside.
//
// That makes what calls answer linearizable, and more: every call is judged when it returns, on a model of all calls
// that returned before. So the order in which they return is one that explains them, and no call stands in it before
// one that had returned when it began. What a call learns of the model when it begins is of its own slot, which nobody
// else names until it ends; and a failed system call excuses the call that met it, not one that this one interrupts.
// A heap that is linearizable in another order is refused. (history.hpp looks for any order, knowing none of this.)
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "props/attacks.hpp"
#include "props/contents.hpp"
#include "props/heap_concept.hpp"
#include "props/ops.hpp"
#include "props/reference_heap.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define STAVE_PROPS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STAVE_PROPS_ASAN 1
#endif
#endif
#ifndef STAVE_PROPS_ASAN
#define STAVE_PROPS_ASAN 0
#endif
#if STAVE_PROPS_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace stave::props {

/// Where and why a heap broke its word.
struct Failure {
  const char* rule = nullptr;  ///< nullptr: it did not
  const void* address = nullptr;
  unsigned op = 0;  ///< index of the operation
  char detail[200] = {};

  [[nodiscard]] explicit operator bool() const { return rule != nullptr; }
};

enum class Thoroughness : std::uint8_t { every_op, sampled };

/// How a single request ended; two heaps that are both right agree on these.
enum class Outcome : std::uint8_t { nothing, served, no_memory, bad_alignment, freed };

/// Whether the heap poisons what it holds back; only Stave does.
template <class H>
inline constexpr bool kPoisons = requires {
  requires H::kPoisons;
};

template <Heap H, class Model = ReferenceHeap>
class Runner : private Attacks<Runner<H, Model>, H> {
  using Attack = Attacks<Runner, H>;
  friend Attack;
  using Attack::aftermath_;
  using Attack::attacks_;

 public:
  Runner(H& heap, const SizeTable& sizes, Thoroughness thoroughness)
      : heap_(heap), sizes_(sizes), thoroughness_(thoroughness) {}

  /// The heap must be as new, and set up as `header` says.
  void begin(const Header& header) {
    header_ = header;
    heap_.failures().clear();
    if (header.failures.period != 0) heap_.failures().plan_periodic(header.failures.call, header.failures.period);
    std::fill(std::begin(slots_), std::end(slots_), Slot{});
    std::fill(std::begin(piled_), std::end(piled_), 0U);
    model_.clear();
    Attack::begin(header);
    failure_ = Failure();
    over_ = false;
    fills_ = header.seed;
    steps_ = 0;
    queued_ = 0;
    inside_ = &nowhere_;
    abandoned_ = 0;
    abandoned_bytes_ = 0;
    interruptions_ = 0;
    others_failures_ = 0;
  }

  /// Carries out an operation; one that is to be interrupted, when those are known that do it. Nothing happens after a
  /// failure or after a misuse was detected as it must be.
  void step(const Op& op) {
    if (done()) return;
    queue_[queued_++] = op;
    const bool interleaved = queue_[0].code == OpCode::interleave;
    if (queued_ == (interleaved ? 2 + decode_interruption(queue_[0]).count : 1)) carry_out_queue();
  }

  /// Frees all that is live, by changing threads, and checks that nothing is left.
  void finish() {
    if (queued_ != 0 && !done()) carry_out_queue();
    if (done()) return;
    heap_.failures().clear();
    const bool returned = guarded([&] {
      unsigned thread = 0;
      for (Slot& slot : slots_) {
        if (slot.address != nullptr) free_slot(slot, thread++ % header_.threads);
      }
      for (unsigned pile = 0; pile < kPiles; ++pile) {
        for (unsigned i = 0; i < piled_[pile]; ++i) free_slot(piles_[pile][i], thread++ % header_.threads);
        piled_[pile] = 0;
      }
      Attack::forget_what_is_gone();
      if (aftermath_.owes()) fail("P14 an overflow was never found", nullptr, "profile %u", header_.profile);
      check_counts();
      check_invariants();
      // Giving all memory back costs as much as the program.
      constexpr unsigned kSample = 8;
      if (thoroughness_ == Thoroughness::every_op || header_.seed % kSample == 0) check_nothing_is_kept();
    });
    if (!returned) judge_fault();
  }

  /// A failure, or a misuse that was detected: the heap may only be reset or thrown away.
  [[nodiscard]] bool done() const { return failure_ || over_; }
  [[nodiscard]] bool expected_death() const { return over_; }
  [[nodiscard]] const Failure& failure() const { return failure_; }
  [[nodiscard]] Outcome outcome() const { return outcome_; }
  [[nodiscard]] Model& model() { return model_; }
  [[nodiscard]] char* slot_address(unsigned slot) const { return slots_[slot].address; }
  /// Allocations, frees and resizes since the runner was made.
  [[nodiscard]] std::uint64_t requests() const { return requests_; }
  /// Acts of misuse that had their effect, in this program.
  [[nodiscard]] unsigned attacks() const { return attacks_; }
  /// Operations in this program in the middle of which others acted.
  [[nodiscard]] unsigned interruptions() const { return interruptions_; }
  /// Of what the heap died as it must, or nullptr.
  [[nodiscard]] const char* verdict() const { return over_ ? verdict_ : nullptr; }

 private:
  struct Slot {
    char* address = nullptr;
    char* stale = nullptr;  ///< what was here before, and was freed
    std::size_t stale_usable = 0;
    std::uint8_t owner = 0;
  };

  /// An operation that is being carried out.
  struct Frame {
    Frame* outer = nullptr;
    const Op* op = nullptr;
    unsigned thread = 0;
    Interruption interruption{};  ///< count is 0: there is none to come
    unsigned end = 0;             ///< of those in the queue that interrupt it
    const char* point = nullptr;  ///< passed last
    Slot* slot = nullptr;         ///< what is in it is being freed or resized
    bool moves = false;           ///< resized: a new address is taken before the old one is freed
    char* racing = nullptr;       ///< what another thread frees as well, and has not yet
    unsigned racer = 0;
  };

  // Out of line: a frame that setjmp returns to twice must hold nothing that the compiler keeps in a register.
  template <class Act>
  [[gnu::noinline]] bool guarded(Act&& act) {
    Escape& escape = heap_.escape();
    escape.fault = nullptr;
    escape.armed = true;
    // NOLINTNEXTLINE(cert-err52-cpp): the way out of a heap that must not unwind.
    if (setjmp(escape.env) != 0) return false;
    act();
    escape.armed = false;
    return true;
  }

  [[gnu::format(printf, 4, 5)]] void fail(const char* rule, const void* address, const char* format, ...) {
    if (failure_) return;
    failure_.op = steps_ + current_;
    failure_.rule = rule;
    failure_.address = address;
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(failure_.detail, sizeof failure_.detail, format, arguments);
    va_end(arguments);
  }

  void judge_fault() {
    Attack::check_forged();
    if (failure_) return;
    const Escape& escape = heap_.escape();
    const char* const found = escape.fault != nullptr ? escape.fault : "?";
    const bool provoked = provoking_ != nullptr && std::strcmp(provoking_, found) == 0;
    const bool also = provoking_ != nullptr && provoking_too_ != nullptr && std::strcmp(provoking_too_, found) == 0;
    if (provoked || also || (provoking_ == nullptr && aftermath_.explains(found))) {
      over_ = true;
      verdict_ = found;
      return;
    }
    fail("P11 a fault was reported", escape.address, "%s (%s)%s%s", found, escape.rule != nullptr ? escape.rule : "-",
         provoking_ != nullptr ? ", expected " : "", provoking_ != nullptr ? provoking_ : "");
  }

  // --- operations inside of operations ---

  /// Carries out what is queued; after a fork that leaves threads behind in the middle of something, from that fork on.
  void carry_out_queue() {
    if constexpr (Interruptible<H>) {
      heap_.interrupter() = {[](void* self, const char* point) { static_cast<Runner*>(self)->at_yield_point(point); },
                             this};
    }
    next_ = 0;
    deferred_count_ = 0;
    do {
      inside_ = &nowhere_;
      forking_ = false;
      if (!guarded([&] { carry_out_until(queued_); }) && !forking_) judge_fault();
    } while (forking_);
    if constexpr (Interruptible<H>) heap_.interrupter() = {};
    steps_ += queued_;
    current_ = 0;
    queued_ = 0;
  }

  /// Carries out the operations of the queue before `end` that nobody has begun with.
  void carry_out_until(unsigned end) {
    while (next_ < end && !done()) {
      const Op& op = queue_[next_];
      if (op.code != OpCode::interleave) {
        perform(next_++, {}, 0);
      } else if (++next_ < end && queue_[next_].code != OpCode::interleave) {  // of two in a row the later one counts
        const Interruption interruption = decode_interruption(op);
        const unsigned first = next_++;
        perform(first, interruption, std::min(end, next_ + interruption.count));
      }
      if (inside_ == &nowhere_) {
        for (unsigned i = 0; i != deferred_count_ && !done(); ++i) perform(deferred_[i], {}, 0);
        deferred_count_ = 0;
      }
    }
  }

  /// Carries out an operation, and amid it those before `end`. Not amid misuse, which acts as more than one thread.
  void perform(unsigned index, const Interruption& interruption, unsigned end) {
    const Op& op = queue_[index];
    const unsigned thread = acting_thread(op);
    if (must_wait(op, thread)) {
      deferred_[deferred_count_++] = index;
      return;
    }
    if (op.code == OpCode::fork_child && inside_ != &nowhere_) leave_others_behind(index);
    Frame frame;
    frame.outer = inside_;
    frame.op = &op;
    frame.thread = thread;
    if (!is_misuse(op.code)) frame.interruption = interruption;
    frame.end = end;
    const unsigned before = current_;
    current_ = index;
    inside_ = &frame;
    if (frame.outer == &nowhere_) {
      provoking_ = nullptr;
      provoking_too_ = nullptr;
    }
    outcome_ = Outcome::nothing;
    execute(op);
    inside_ = frame.outer;
    if (inside_ == &nowhere_) {
      if (provoking_ != nullptr) fail("P11 a misuse was not detected", nullptr, "%s", provoking_);
      inspect(op);
      Attack::check_forged();
    }
    current_ = before;
  }

  [[nodiscard]] unsigned acting_thread(const Op& op) const {
    return op.code == OpCode::free_remote ? other_thread(slots_[op.slot].owner, op.detail, header_.threads) : op.thread;
  }

  /// Whether an operation cannot be carried out in the middle of those that are under way.
  [[nodiscard]] bool must_wait(const Op& op, unsigned thread) const {
    if (inside_ == &nowhere_) return false;
    if (is_misuse(op.code) || (op.code == OpCode::fork_child && aftermath_.flipped())) return true;
    const auto names_pile = [](OpCode code) { return code == OpCode::pile_up || code == OpCode::pile_free; };
    const auto names_slot = [](OpCode code) { return code <= OpCode::fill; };
    for (const Frame* frame = inside_; frame != &nowhere_; frame = frame->outer) {
      const Op& other = *frame->op;
      if (frame->thread == thread) return true;
      if (names_slot(op.code) && names_slot(other.code) && op.slot == other.slot) return true;
      if (names_pile(op.code) && names_pile(other.code) && pile_number(op) == pile_number(other)) return true;
    }
    return false;
  }

  void at_yield_point(const char* point) {
    Frame& frame = *inside_;
    frame.point = point;
    if (frame.interruption.count == 0) return;
    const unsigned wanted = frame.interruption.point;
    const bool is_any = wanted == 0 || wanted >= kYieldPoints;
    if (!is_any && std::strcmp(point, yield_point_name(wanted)) != 0) return;
    if (frame.interruption.passes-- != 0) return;
    frame.interruption.count = 0;
    ++interruptions_;
    const int error = errno;  // each thread has its own
    const Outcome outcome = outcome_;
    const std::uint64_t failures = own_failures();
    if (char* const address = std::exchange(frame.racing, nullptr)) {
      heap_.deallocate(frame.racer, address);
    } else {
      carry_out_until(frame.end);
    }
    if (done()) heap_.escape().leave("-", nullptr, nullptr);  // what is known already must not become a crash
    outcome_ = outcome;
    others_failures_ += own_failures() - failures;
    errno = error;
  }

  /// A thread forks: of the others, which are in the middle of something, the child has only what they left. Goes on
  /// with operation `index`, which is the fork, when nobody is inside.
  [[noreturn]] void leave_others_behind(unsigned index) {
    for (const Frame* frame = inside_; frame != &nowhere_; frame = frame->outer) leave_behind(*frame);
    const HeapCounts counts = heap_.counts();
    if (counts.live_allocations != model_.live_allocations() + abandoned_) {
      fail("P15 what a fork interrupts is finished or has not begun", nullptr, "%llu allocations, the model has %llu",
           static_cast<unsigned long long>(counts.live_allocations),
           static_cast<unsigned long long>(model_.live_allocations() + abandoned_));
    }
    abandoned_bytes_ = counts.live_bytes - model_.live_bytes();
    next_ = index;
    forking_ = true;
    heap_.escape().leave("-", nullptr, nullptr);
  }

  /// What is lost stays live for ever, and is nobody's.
  void leave_behind(const Frame& frame) {
    if (frame.slot == nullptr) return;
    const auto is_at = [&](const char* point) { return std::strcmp(frame.point, point) == 0; };
    const bool is_finished = is_at("remote-free-before-done") || is_at("remote-free-before-signal");
    const bool is_freeing = is_finished || is_at("remote-free-before-mark") || is_at("free-before-lock");
    if (frame.moves && is_freeing) ++abandoned_;
    if (is_finished) {
      model_.remove(frame.slot->address);
    } else {
      aftermath_.abandon(frame.slot->address);
      if (Allocation* const lost = model_.find(frame.slot->address)) lost->lost = true;
    }
    frame.slot->address = nullptr;
  }

  // --- the heap's calls, each with what it owes by itself ---

  struct Request {
    std::size_t size;
    std::size_t alignment;
    std::uint64_t injected;
    std::size_t kept = 0;  ///< bytes that a realloc copies
  };

  [[nodiscard]] Request request(std::size_t size, std::size_t alignment) {
    errno = 0;
    ++requests_;
    return {size, alignment, own_failures()};
  }

  /// System calls that failed on purpose, but for those that whoever interrupted this call met.
  [[nodiscard]] std::uint64_t own_failures() const { return heap_.failures().injected() - others_failures_; }

  [[nodiscard]] bool may_refuse(const Request& wanted) const {
    if (own_failures() != wanted.injected || header_.tight_region) return true;
    const std::size_t enough = heap_.region_bytes() / 8;
    return wanted.size > enough || wanted.alignment > enough || model_.live_bytes() + wanted.size > enough;
  }

  void check_refusal(const Request& wanted) {
    const int error = errno;
    outcome_ = Outcome::no_memory;
    if (error != ENOMEM) fail("P7 errno of a refusal is ENOMEM", nullptr, "errno %d, size %zu", error, wanted.size);
    if (!may_refuse(wanted)) {
      fail("P8 a refusal needs a reason", nullptr, "size %zu, alignment %zu, %llu bytes live", wanted.size,
           wanted.alignment, static_cast<unsigned long long>(model_.live_bytes()));
    }
  }

  /// Judges a new address and enters it into the model. Returns whether it is one.
  bool settle(Slot& slot, unsigned thread, void* result, const Request& wanted) {
    slot.address = nullptr;
    slot.owner = static_cast<std::uint8_t>(thread);
    if (result == nullptr) {
      check_refusal(wanted);
      return false;
    }
    outcome_ = Outcome::served;
    char* const address = static_cast<char*>(result);
    const auto value = reinterpret_cast<std::uintptr_t>(result);
    if (value % 16 != 0 || value % wanted.alignment != 0) {
      fail("P3 addresses are aligned", address, "alignment %zu", wanted.alignment);
    }
    const bool slack_is_open = opens_slack(address, wanted.size);
    const std::size_t usable = heap_.usable_size(thread, address);
    if (slack_is_open && usable > wanted.size) {
      fail("P12 slack is not addressable", address + wanted.size, "size %zu, usable %zu", wanted.size, usable);
    }
    if (usable < wanted.size && !aftermath_.flipped()) {
      fail("P4 the usable size suffices", address, "%zu < %zu", usable, wanted.size);
    }
    if (value < region_start() || usable > heap_.region_bytes() ||
        value - region_start() > heap_.region_bytes() - usable) {
      fail("P1 allocations lie in the region", address, "size %zu, usable %zu", wanted.size, usable);
    }
    if (!failure_ && !Attack::is_open(address, usable)) {
      fail("P1 allocations can be touched", address, "size %zu, usable %zu", wanted.size, usable);
    }
    if (!failure_) Attack::check_place(address, wanted.size, wanted.kept);
    if (failure_) return false;
    Allocation allocation;
    allocation.address = address;
    allocation.size = wanted.size;
    allocation.usable = usable;
    allocation.alignment = wanted.alignment;
    allocation.fill = ++fills_;
    allocation.owner = static_cast<std::uint8_t>(thread);
    if (!model_.add(allocation)) {
      fail("P1 allocations do not overlap", address, "size %zu, usable %zu", wanted.size, usable);
      return false;
    }
#if STAVE_PROPS_ASAN
    if constexpr (kPoisons<H>) {
      if (usable != 0 && __asan_region_is_poisoned(address, usable) != nullptr) {
        fail("P12 what is live is addressable", __asan_region_is_poisoned(address, usable), "size %zu", wanted.size);
        return false;
      }
    }
#endif
    slot.address = address;
    return true;
  }

  /// Whether the byte behind `size` bytes is addressable.
  [[nodiscard]] static bool opens_slack(const char* address, std::size_t size) {
#if STAVE_PROPS_ASAN
    if constexpr (kPoisons<H>) return __asan_address_is_poisoned(address + size) == 0;
#endif
    static_cast<void>(address);
    static_cast<void>(size);
    return false;
  }

  void paint(const Slot& slot) {
    const Allocation* const allocation = model_.find(slot.address);
    write_pattern(slot.address, allocation->usable, allocation->fill);
  }

  void check_contents(const Allocation& allocation) {
    if (allocation.spoiled) return;
    if (!Attack::is_open(allocation.address, allocation.usable)) {
      fail("P2 contents stay", allocation.address, "access is over, of %zu bytes", allocation.usable);
      return;
    }
    const std::size_t where = find_mismatch(allocation.address, allocation.usable, allocation.usable, allocation.fill);
    if (where != kNoMismatch) {
      fail("P2 contents stay", allocation.address + where, "byte %zu of %zu (usable %zu)", where, allocation.size,
           allocation.usable);
    }
  }

  void check_gone(const void* address) {
#if STAVE_PROPS_ASAN
    if constexpr (kPoisons<H>) {
      if (__asan_address_is_poisoned(address) == 0) fail("P12 what is freed is not addressable", address, "freed");
    }
#endif
    static_cast<void>(address);
  }

  /// Around each call that goes by the seal of a header or record.
  void expect_death_by_seal(const char* address) {
    provoking_ = address != nullptr ? Attack::owed_by_seal(address) : nullptr;
  }
  void survive_seal(const char* address) {
    if (provoking_ != nullptr) fail("P14 a broken seal was believed", address, "profile %u", header_.profile);
    provoking_ = nullptr;
  }

  void free_slot(Slot& slot, unsigned thread) {
    constexpr int kMark = 0x5A;
    char* const address = slot.address;
    Allocation* const allocation = address != nullptr ? model_.find(address) : nullptr;
    const std::size_t usable = allocation != nullptr ? allocation->usable : 0;
    if (allocation != nullptr) check_contents(*allocation);
    if (failure_) return;
    if (allocation != nullptr) allocation->spoiled = true;
    errno = kMark;
    ++requests_;
    const bool must_die =
        address != nullptr && (aftermath_.end_is_broken(address) || Attack::owed_by_front(address, thread));
    const std::uint64_t injected = own_failures();
    begin_release(slot, false);
    expect_death_by_seal(address);
    heap_.deallocate(thread, address);
    survive_seal(address);
    inside_->slot = nullptr;
    if (must_die && own_failures() == injected)
      return fail("P14 a free did not find an overflow", address, "usable %zu", usable);
    if (errno != kMark) fail("P7 free keeps errno", address, "errno %d", errno);
    slot.address = nullptr;
    if (address == nullptr) return;
    slot.stale = address;
    slot.stale_usable = usable;
    model_.remove(address);
    if (usable != 0) check_gone(address);
    outcome_ = Outcome::freed;
  }

  /// The call that follows frees what is in the slot, or moves it.
  void begin_release(Slot& slot, bool moves) {
    inside_->slot = slot.address != nullptr ? &slot : nullptr;
    inside_->moves = moves;
  }

  void allocate(Slot& slot, unsigned thread, std::size_t size) {
    const Request wanted = request(size, 1);
    void* const result = heap_.allocate(thread, size);
    if (settle(slot, thread, result, wanted)) paint(slot);
  }

  void allocate_zeroed(Slot& slot, unsigned thread, std::size_t count, std::size_t size) {
    std::size_t product = 0;
    if (__builtin_mul_overflow(count, size, &product)) product = SIZE_MAX;
    const Request wanted = request(product, 1);
    void* const result = heap_.allocate_zeroed(thread, count, size);
    if (!settle(slot, thread, result, wanted)) return;
    const std::size_t where = find_nonzero(slot.address, product, pieces_of(fills_));
    if (where != kNoMismatch && !Attack::was_written_)
      fail("P5 calloc gives zeroes", slot.address + where, "byte %zu of %zu", where, product);
    paint(slot);
  }

  void allocate_aligned(Slot& slot, unsigned thread, std::size_t alignment, std::size_t size) {
    const Request wanted = request(size, alignment);
    void* const result = heap_.allocate_aligned(thread, alignment, size);
    if (!is_power_of_two(alignment)) {
      slot.owner = static_cast<std::uint8_t>(thread);
      outcome_ = Outcome::bad_alignment;
      if (result != nullptr || errno != EINVAL) {
        fail("P7 a bad alignment is EINVAL", result, "alignment %zu, errno %d", alignment, errno);
      }
      return;
    }
    if (settle(slot, thread, result, wanted)) paint(slot);
  }

  void reallocate(Slot& slot, unsigned thread, std::size_t size) {
    char* const old_address = slot.address;
    Allocation old;
    if (old_address != nullptr) {
      old = *model_.find(old_address);
      check_contents(old);
      model_.find(old_address)->spoiled = true;
    }
    if (failure_) return;
    Request wanted = request(size, 1);
    wanted.kept = std::min(old.usable, size);
    const bool must_die = old_address != nullptr && size != 0 && aftermath_.end_is_broken(old_address);
    begin_release(slot, size != 0);
    expect_death_by_seal(old_address);
    void* const result = heap_.reallocate(thread, old_address, size);
    if (result == nullptr && size != 0 && may_refuse(wanted)) provoking_ = nullptr;  // before it looked
    survive_seal(old_address);
    inside_->slot = nullptr;
    if (must_die && result != nullptr && own_failures() == wanted.injected) {
      return fail("P14 a realloc did not find an overflow", old_address, "usable %zu", old.usable);
    }
    // The kernel would not let it look. What was behind the old end need not be behind the new one.
    if (must_die && result != nullptr) aftermath_.abandon(old_address);
    if (old_address == nullptr) {
      if (settle(slot, thread, result, wanted)) paint(slot);
      return;
    }
    slot.owner = static_cast<std::uint8_t>(thread);
    if (size == 0) {
      if (result != nullptr) fail("P6 realloc to nothing frees", result, "not a null pointer");
      model_.remove(old_address);
      slot.address = nullptr;
      outcome_ = Outcome::freed;
      return;
    }
    if (result == nullptr) {
      check_refusal(wanted);
      model_.find(old_address)->spoiled = old.spoiled;
      const std::size_t usable = heap_.usable_size(thread, old_address);
      if (usable != old.usable && !aftermath_.flipped())
        fail("P6 a failed realloc keeps the size", old_address, "%zu, was %zu", usable, old.usable);
      check_contents(old);
      return;
    }
    model_.remove(old_address);
    if (!settle(slot, thread, result, wanted)) return;
    if (slot.address != old_address) {
      slot.stale = old_address;
      slot.stale_usable = old.usable;
    }
    const std::size_t where =
        old.spoiled ? kNoMismatch : find_mismatch(slot.address, old.usable, std::min(old.usable, size), old.fill);
    if (where != kNoMismatch) {
      fail("P6 realloc keeps contents", slot.address + where, "byte %zu, from %zu to %zu", where, old.usable, size);
    }
    paint(slot);
    if (slot.address != old_address && old.usable != 0) check_gone_unless_inside(old_address, slot);
  }

  /// A moved realloc's old start may lie inside the new block when that one was grown downwards.
  void check_gone_unless_inside(const char* address, const Slot& slot) {
    const Allocation* const allocation = model_.find(slot.address);
    if (address < allocation->address || address >= allocation->end()) check_gone(address);
  }

  // --- operations ---

  void replace(Slot& slot, unsigned thread) {
    if (slot.address != nullptr) free_slot(slot, thread);
    slot.owner = static_cast<std::uint8_t>(thread);
  }

  void execute(const Op& op) {
    Slot& slot = slots_[op.slot];
    const unsigned thread = inside_->thread;
    const std::size_t size = sizes_.decode(op.argument);
    switch (op.code) {
      case OpCode::malloc_op:
        replace(slot, thread);
        if (!failure_) allocate(slot, thread, size);
        break;
      case OpCode::calloc_op:
        replace(slot, thread);
        if (!failure_) allocate_zeroed(slot, thread, decode_count(op.detail, size), size);
        break;
      case OpCode::realloc_op:
        reallocate(slot, thread, size);
        break;
      case OpCode::reallocarray_op: {
        std::size_t product = 0;
        if (__builtin_mul_overflow(decode_count(op.detail, size), size, &product)) {
          outcome_ = Outcome::no_memory;
          slot.owner = static_cast<std::uint8_t>(thread);
        } else {
          reallocate(slot, thread, product);
        }
        break;
      }
      case OpCode::aligned_alloc_op:
      case OpCode::memalign_op:
        replace(slot, thread);
        if (!failure_) allocate_aligned(slot, thread, decode_alignment(op.detail), size);
        break;
      case OpCode::free_op:
      case OpCode::free_remote:
        free_slot(slot, thread);
        break;
      case OpCode::usable_size: {
        expect_death_by_seal(slot.address);
        const std::size_t usable = heap_.usable_size(thread, slot.address);
        survive_seal(slot.address);
        const std::size_t expected = slot.address != nullptr ? model_.find(slot.address)->usable : 0;
        if (usable != expected && !aftermath_.flipped())
          fail("P4 the usable size does not change", slot.address, "%zu, was %zu", usable, expected);
        break;
      }
      case OpCode::fill:
        if (slot.address != nullptr) {
          check_contents(*model_.find(slot.address));
          model_.find(slot.address)->fill = ++fills_;
          paint(slot);
        }
        break;
      case OpCode::check:
        check_everything();
        break;
      case OpCode::exit_thread:
        heap_.exit_thread(thread);
        break;
      case OpCode::fork_child:
        if (aftermath_.flipped()) break;  // see aftermath.hpp
        heap_.fork_child(thread);
        aftermath_.note_fork();
        break;
      case OpCode::trim:
        static_cast<void>(heap_.trim(thread));
        break;
      case OpCode::fail_next: {
        const NextFailure next = decode_failure(op);
        heap_.failures().plan_next(next.call, next.skip, next.count);
        break;
      }
      case OpCode::pile_up: {
        unsigned& piled = piled_[pile_number(op)];
        const unsigned count = std::min(pile_count(op), kPileCapacity - piled);
        const std::size_t each = pile_size(op, sizes_);
        for (unsigned i = 0; i < count && !failure_; ++i) {
          Slot& entry = piles_[pile_number(op)][piled++];
          entry = Slot{};
          allocate(entry, thread, each);
        }
        break;
      }
      case OpCode::pile_free: {
        Slot* const pile = piles_[pile_number(op)];
        unsigned& piled = piled_[pile_number(op)];
        const unsigned count = std::min(pile_count(op), piled);
        for (unsigned i = 0; i < count && !failure_; ++i) {
          const unsigned index = pile_pick(op, piled, i);
          free_slot(pile[index], thread);
          std::copy(pile + index + 1, pile + piled, pile + index);
          --piled;
        }
        break;
      }
      default:
        if (is_attack(op.code)) {
          Attack::attack(op, slot);
        } else {
          misuse(op, slot, size);
        }
        break;
    }
  }

  void misuse(const Op& op, Slot& slot, std::size_t size) {
    if (op.code == OpCode::foreign_free) {
      alignas(16) static char foreign[64];
      provoking_ = expected_fault(op.code);
      heap_.deallocate(op.thread, foreign);
      return;
    }
    const bool interior = op.code == OpCode::interior_free || op.code == OpCode::misaligned_free;
    const unsigned owner = slot.owner;
    if (interior && slot.address != nullptr && model_.find(slot.address)->usable < kInteriorMinimum) {
      free_slot(slot, owner);
    }
    if (slot.address == nullptr && !failure_) {
      allocate(slot, owner, interior ? kInteriorMinimum : std::min<std::size_t>(size, 65536));
    }
    if (slot.address == nullptr || failure_) return;
    char* const address = slot.address;
    const std::size_t usable = model_.find(address)->usable;
    if (interior) {
      provoking_ = expected_fault(op.code);
      heap_.deallocate(
          owner, address + (op.code == OpCode::interior_free ? interior_offset(op, usable) : misaligned_offset(op)));
      return;
    }
    const unsigned other = other_thread(owner, op.detail, header_.threads);
    if (op.code == OpCode::double_free_racing) {
      return free_racing(op, address, (op.argument & 4U) != 0 ? owner : other);
    }
    const bool first_remote =
        op.code == OpCode::double_free_remote_local || op.code == OpCode::double_free_remote_remote;
    const bool second_remote =
        op.code == OpCode::double_free_local_remote || op.code == OpCode::double_free_remote_remote;
    const unsigned second = second_remote ? other : owner;
    if (op.code == OpCode::realloc_freed) start_thread(second);
    free_slot(slot, first_remote ? other : owner);
    if (failure_) return;
    provoking_ = expected_fault(op.code);
    if (op.code == OpCode::realloc_freed) {
      provoke_by_realloc(second, address);
    } else if (op.code == OpCode::usable_size_freed) {
      static_cast<void>(heap_.usable_size(second, address));
    } else {
      heap_.deallocate(second, address);
    }
  }

  /// `first` frees, and amid that, or else right after it, somebody else; one of them may be the owner.
  void free_racing(const Op& op, char* address, unsigned first) {
    check_contents(*model_.find(address));
    if (failure_) return;
    const unsigned second = other_thread(first, op.argument >> 4U, header_.threads);
    provoking_ = expected_fault(op.code);
    inside_->racing = address;
    inside_->racer = second;
    if (second != first) inside_->interruption = {0, op.argument & 3U, 1};
    heap_.deallocate(first, address);
    if (inside_->racing != nullptr) heap_.deallocate(second, address);
  }

  /// Makes the heap of a thread that has none, for which the heap may forget what was freed when memory is short.
  void start_thread(unsigned thread) {
    if constexpr (requires { heap_.start_thread(thread); }) static_cast<void>(heap_.start_thread(thread));
  }

  /// The call must end in the fault that is expected, unless the thread gets no heap: that is before it looks.
  void provoke_by_realloc(unsigned thread, char* pointer) {
    const Request wanted = request(100, 1);
    if (heap_.reallocate(thread, pointer, wanted.size) == nullptr && may_refuse(wanted)) provoking_ = nullptr;
  }

  // --- checks over the whole heap ---

  void inspect(const Op& op) {
    static_cast<void>(op);
    if (failure_ || provoking_ != nullptr || over_) return;
    constexpr unsigned kSample = 32;
    if (thoroughness_ == Thoroughness::every_op) {
      check_everything();
    } else if ((steps_ + current_ + 1) % kSample != 0) {
      return;
    }
    check_counts();
    check_invariants();
  }

  void check_everything() {
    model_.for_each_live([&](const Allocation& allocation) {
      if (!failure_) check_contents(allocation);
    });
  }

  void check_counts() {
    if (failure_ || aftermath_.flipped()) return;
    const HeapCounts counts = heap_.counts();
    const HeapCounts wanted = {model_.live_allocations() + abandoned_, model_.live_bytes() + abandoned_bytes_};
    if (counts.live_allocations != wanted.live_allocations || counts.live_bytes != wanted.live_bytes) {
      fail("P9 counts equal the model's", nullptr, "%llu allocations, %llu bytes; the model has %llu and %llu",
           static_cast<unsigned long long>(counts.live_allocations), static_cast<unsigned long long>(counts.live_bytes),
           static_cast<unsigned long long>(wanted.live_allocations),
           static_cast<unsigned long long>(wanted.live_bytes));
    }
  }

  void check_invariants() {
    if (failure_ || aftermath_.any()) return;  // they say what an attacker did
    const Violation violation = heap_.verify();
    if (violation.invariant != nullptr) fail("P10 verify() holds", violation.where, "%s", violation.invariant);
  }

  /// For heaps that can tell what they keep: a free that was forgotten shows nowhere else.
  void check_nothing_is_kept() {
    if constexpr (requires(const H& heap) { heap.parts_in_use(); }) {
      if (failure_ || (aftermath_.flipped() && !aftermath_.owes_death())) return;
      for (unsigned thread = 0; thread < header_.threads; ++thread) heap_.exit_thread(thread);
      static_cast<void>(heap_.trim(0));
      if (aftermath_.owes_death()) {
        fail("P14 a changed word was never found", nullptr, "profile %u", header_.profile);
        return;
      }
      const std::uint64_t parts = heap_.parts_in_use();
      const bool none_left_behind = model_.live_allocations() + abandoned_ == 0;
      if (none_left_behind && parts != 0)
        fail("P13 nothing is kept", nullptr, "%llu parts", static_cast<unsigned long long>(parts));
      check_invariants();
    }
  }

  [[nodiscard]] std::uintptr_t region_start() const { return reinterpret_cast<std::uintptr_t>(heap_.region()); }

  H& heap_;
  const SizeTable& sizes_;
  Thoroughness thoroughness_;
  Header header_;
  Model model_;
  Slot slots_[kSlots] = {};
  Slot piles_[kPiles][kPileCapacity] = {};
  unsigned piled_[kPiles] = {};
  Failure failure_;
  // Read after a jump out of the heap.
  const char* volatile provoking_ = nullptr;
  const char* volatile provoking_too_ = nullptr;
  const char* verdict_ = nullptr;
  bool over_ = false;
  Outcome outcome_ = Outcome::nothing;
  std::uint32_t fills_ = 0;
  unsigned steps_ = 0;  ///< before the queue
  std::uint64_t requests_ = 0;

  // Each operation of the queue begins, or is deferred, in its turn: `next_` is the first that has not.
  std::array<Op, 2 + kMostInterrupting> queue_{};
  unsigned queued_ = 0;
  unsigned next_ = 0;
  unsigned current_ = 0;  ///< index in the queue of the operation that is being carried out
  std::array<unsigned, 2 + kMostInterrupting> deferred_{};
  unsigned deferred_count_ = 0;
  Frame nowhere_;  ///< outside of all operations
  Frame* inside_ = &nowhere_;
  bool forking_ = false;
  unsigned interruptions_ = 0;
  std::uint64_t others_failures_ = 0;
  // What threads that a fork left behind had taken, at addresses that nobody was told.
  std::uint64_t abandoned_ = 0;
  std::uint64_t abandoned_bytes_ = 0;
};

/// Address space of a heap that a program asks for.
[[nodiscard]] constexpr std::size_t region_bytes_for(const Header& header) {
  return header.tight_region ? std::size_t{4} << 20U : std::size_t{256} << 20U;
}

[[nodiscard]] constexpr HeapSetup setup_for(const Header& header) {
  return {region_bytes_for(header), header.seed,    header.profile,
          header.guard_by_protect,  header.threads, header.threads_borrow};
}

/// Runs a whole program on a heap that is as new.
template <Heap H, class Model>
Failure run_program(Runner<H, Model>& runner, const Program& program) {
  runner.begin(program.header);
  for (const Op& op : program.ops) {
    runner.step(op);
    if (runner.done()) break;
  }
  runner.finish();
  return runner.failure();
}

}  // namespace stave::props
