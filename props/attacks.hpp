// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attacks on a heap: how misuse that does not end a program is carried out, and what it leaves behind (aftermath.hpp).
#pragma once

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "props/aftermath.hpp"
#include "props/heap_concept.hpp"
#include "props/ops.hpp"
#include "props/reference_heap.hpp"

namespace stave::props {

/// Whether the heap shows where things lie, so that it can be attacked; only Stave does.
template <class H>
concept Attackable = requires(const H& heap, const void* address) {
  heap.placement(address);
};

/// The part of a Runner (Self) that attacks its heap. Of heaps that cannot be attacked it does nothing.
template <class Self, class H>
class Attacks {
 protected:
  void begin(const Header&) {}
  template <class Slot>
  void attack(const Op&, Slot&) {}
  [[nodiscard]] bool is_open(const char*, std::size_t) const { return true; }
  void check_place(const char*, std::size_t, std::size_t) {}
  void check_forged() {}
  void forget_what_is_gone() {}
  [[nodiscard]] const char* owed_by_seal(const char*) const { return nullptr; }
  [[nodiscard]] bool owed_by_front(const char*, unsigned) const { return false; }

  Aftermath aftermath_;
  unsigned attacks_ = 0;
  bool was_written_ = false;
};

template <class Self, Attackable H>
class Attacks<Self, H> {
  using Placement = typename H::Placement;
  using Claim = typename H::Claim;
  using Kind = typename Placement::Kind;

 protected:
  void begin(const Header& header) {
    aftermath_.clear();
    promises_ = promises_of(header.profile);
    attacks_ = 0;
    was_written_ = false;
    is_forged_ = false;
  }

  template <class Slot>
  void attack(const Op& op, Slot& slot) {
    switch (op.code) {
      case OpCode::overflow_write:
      case OpCode::overflow_nul:
      case OpCode::write_beyond:
      case OpCode::underflow_write:
        if (slot.address != nullptr) write_around(op, slot.address, self().model_.find(slot.address)->usable);
        break;
      case OpCode::write_freed: {
        const Written written = decode_write(op);
        const std::size_t room = slot.stale_usable;
        if (slot.stale == nullptr || room == 0) break;
        write(slot.stale + (op.argument >> 8U) % room, written.count, written.value);
        break;
      }
      case OpCode::free_stale:
      case OpCode::realloc_stale:
      case OpCode::usable_size_stale:
        use_stale(op, slot);
        break;
      case OpCode::free_other_family:
      case OpCode::free_other_size:
      case OpCode::free_other_alignment:
        free_as_other(op, slot);
        break;
      case OpCode::forge_chunk:
      case OpCode::free_in_large:
        forge(op, slot);
        break;
      case OpCode::free_unused:
        free_unused(op, slot);
        break;
      case OpCode::touch_guard:
      case OpCode::touch_freed:
        touch(op, slot);
        break;
      case OpCode::forge_link:
      case OpCode::forge_counts:
        forge_in_header(op, slot);
        break;
      default:
        flip(op, slot);
        break;
    }
  }

  /// Whether the ends of an allocation can be touched, as far as the heap knows. (What a request of nothing gave
  /// cannot.)
  [[nodiscard]] bool is_open(const char* address, std::size_t bytes) const {
    return bytes == 0 || (self().heap_.is_open(address) && self().heap_.is_open(address + bytes - 1));
  }
  /// What was handed out begins where a slot or block does, and hides no write that had to be found: not where `kept`
  /// bytes were copied since.
  void check_place(char* address, std::size_t size, std::size_t kept) {
    if (attacks_ == 0) return;
    const Placement place = self().heap_.placement(address);
    char* const end = place.kind == Kind::slot ? place.end : address + size;
    const bool in_place = place.start == address && (size == 0 || (address >= place.first && end <= place.last));
    if (place.kind == Kind::none || place.kind == Kind::vacant || place.kind == Kind::other || !in_place) {
      self().fail("P14 an allocation lies where none can", address, "size %zu", size);
      return;
    }
    forget_what_is_gone();
    // Behind what was asked for lies by now what the heap itself writes there.
    if (aftermath_.hides_write(address + kept, address + size))
      self().fail("P14 a written slot was handed out", address, "size %zu", size);
    was_written_ = promises_.zeroed && place.kind == Kind::slot && aftermath_.excuses_bytes(address, end);
    aftermath_.forget(address, end);
  }
  /// What looks like a chunk, and is the attacker's, is written by nobody else.
  void check_forged() {
    if (!is_forged_ || std::memcmp(g_forged, g_forged_before, sizeof g_forged) == 0) return;
    self().fail("P14 a forged chunk was written", g_forged, "profile %u", self().header_.profile);
  }
  /// By what any use of an allocation must end, if a seal on its way is broken; nullptr: none is.
  [[nodiscard]] const char* owed_by_seal(const char* address) const {
    if (!aftermath_.flipped()) return nullptr;
    const Placement place = self().heap_.placement(address);
    if (!aftermath_.seal_is_broken(whose_seal(place, address))) return nullptr;
    return place.kind == Kind::slot ? "corrupt-header" : "corrupt-record";
  }
  /// Whether the free of an allocation by a thread must find the canary in front of it changed.
  [[nodiscard]] bool owed_by_front(const char* address, unsigned thread) const {
    if (!promises_.front || !aftermath_.any()) return false;
    const Placement place = self().heap_.placement(address);
    if (place.kind != Kind::slot || place.bit == 0 || place.owner != thread) return false;
    const Placement before = self().heap_.placement(address - 1);
    return before.canary && aftermath_.end_is_broken(before.end - 8, before.end);
  }
  void forget_what_is_gone() {
    if (!aftermath_.any()) return;
    aftermath_.keep_if([&](const char* at) {
      const Placement place = self().heap_.placement(at);
      return at >= place.first && at < place.last;
    });
  }

  Aftermath aftermath_;
  unsigned attacks_ = 0;      ///< acts of misuse that had their effect
  bool was_written_ = false;  ///< what was handed out last need not be zero

 private:
  [[nodiscard]] Self& self() { return static_cast<Self&>(*this); }
  [[nodiscard]] const Self& self() const { return static_cast<const Self&>(*this); }

  void write_around(const Op& op, char* address, std::size_t usable) {
    const Written written = decode_write(op);
    if (op.code == OpCode::underflow_write) {
      write(address - written.count, written.count, written.value);
    } else {
      write(address + usable + written.gap, written.count, written.value);
    }
  }

  /// Writes what can be written without a fault, byte by byte, and notes what is owed.
  void write(char* from, unsigned count, std::uint8_t value) {
    for (char* at = from; at != from + count; ++at) {
      const Placement place = self().heap_.placement(at);
      if (at < place.first || at >= place.last) continue;
      if (*at == static_cast<char>(value)) continue;
      Allocation* const live = self().model_.find(place.start);
      const bool is_slot = place.kind == Kind::slot;
      if (live != nullptr && at >= live->address && at < live->address + live->usable) {
        live->spoiled = true;
      } else if (live != nullptr) {
        if (!is_watched(place, *live, at)) {
          // Slack that nobody looks at.
        } else if (!aftermath_.note(live->lost ? Aftermath::Kind::pending : Aftermath::Kind::end, place.start, at,
                                    static_cast<char>(value))) {
          continue;
        }
      } else {
        const bool is_found = is_slot && place.held && promises_.writes;
        const bool has_canary = is_slot && place.canary && at >= place.end - 8;
        const auto kind = is_found     ? Aftermath::Kind::held
                          : has_canary ? Aftermath::Kind::pending
                                       : Aftermath::Kind::nobodys;
        if (!aftermath_.note(kind, place.start, at, static_cast<char>(value))) continue;
      }
      *at = static_cast<char>(value);
      ++attacks_;
    }
  }
  [[nodiscard]] bool is_watched(const Placement& place, const Allocation& live, const char* at) const {
    if (place.kind == Kind::sample) return true;
    const char* const end = live.address + live.size;
    const bool in_slack = promises_.exact && at >= end && at < end + kWatchedSlack;
    if (place.kind != Kind::slot) return in_slack || (promises_.exact && at < live.address);
    const bool in_canary = place.canary && at >= place.end - 8;
    // Slack is filled in whole words.
    return in_canary || (in_slack && at < align_to_word(end + kWatchedSlack));
  }
  [[nodiscard]] static const char* align_to_word(const char* at) {
    return at - reinterpret_cast<std::uintptr_t>(at) % sizeof(std::uint64_t);
  }

  template <class Slot>
  void use_stale(const Op& op, Slot& slot) {
    char* const stale = slot.stale;
    if (stale == nullptr) return;
    const unsigned thread = other_thread(slot.owner, op.detail, self().header_.threads);
    if (self().model_.find(stale) != nullptr) {
      // A stale free of what was legally handed out again: nothing is owed after it.
      self().over_ = true;
      self().verdict_ = "stale";
      return;
    }
    if (op.code == OpCode::realloc_stale) self().start_thread(thread);
    const Placement place = self().heap_.placement(stale);
    ++attacks_;
    const bool frees = op.code == OpCode::free_stale;
    const char* const freed = frees ? "double-free" : "freed-pointer";
    self().provoking_ = freed;
    if (place.kind == Kind::none) {
      self().provoking_ = "foreign-pointer";
    } else if (place.kind == Kind::vacant || place.kind == Kind::other) {
      self().provoking_too_ = "interior-pointer";
    } else if (place.start != stale) {  // what lies there now is of another size
      self().provoking_ = "interior-pointer";
    } else if (place.unused) {
      self().provoking_ = "never-allocated";
    }
    if (frees) {
      self().heap_.deallocate(thread, stale);
    } else if (op.code == OpCode::realloc_stale) {
      self().provoke_by_realloc(thread, stale);
    } else {
      static_cast<void>(self().heap_.usable_size(thread, stale));
    }
  }

  /// The same free that says something of the allocation: all is well if what it says is right, or not looked at.
  template <class Slot>
  void free_as_other(const Op& op, Slot& slot) {
    if (slot.address == nullptr) return;
    Allocation& live = *self().model_.find(slot.address);
    const Placement place = self().heap_.placement(slot.address);
    Claim claim;
    const char* fault = nullptr;
    if (op.code == OpCode::free_other_family) {
      claim.family = static_cast<decltype(claim.family)>(1 + op.argument % 3);
      if (promises_.families) fault = "family-mismatch";
    } else if (op.code == OpCode::free_other_size) {
      claim.size = other_size(op, live.size);
      if (promises_.sized && !size_may_be(place, live, claim.size)) fault = "size-mismatch";
    } else {
      claim.alignment_log2 = 4 + op.argument % 17;
      const std::uintptr_t mask = (std::uintptr_t{1} << claim.alignment_log2) - 1;
      if (promises_.sized && (reinterpret_cast<std::uintptr_t>(slot.address) & mask) != 0) fault = "alignment-mismatch";
    }
    ++attacks_;
    self().check_contents(live);
    if (self().failure_) return;
    ++self().requests_;
    self().provoking_ = fault;
    self().heap_.deallocate(other_thread(slot.owner, op.detail, self().header_.threads), slot.address, claim);
    if (fault != nullptr) return;
    self().model_.remove(slot.address);
    slot.address = nullptr;
  }
  /// Whether a free may name this size: the right one, or one that would be served alike.
  [[nodiscard]] bool size_may_be(const Placement& place, const Allocation& live, std::size_t size) {
    // Without alignment the right size is of another class than an allocation that was to be more aligned.
    const bool of_another_class = place.kind == Kind::slot && !promises_.exact && live.alignment > 16;
    if (size == live.size && !of_another_class) return true;
    if (promises_.exactly || place.kind == Kind::sample) return false;
    if (place.kind == Kind::large) {
      const auto pages = [&](std::size_t bytes) { return (std::max<std::size_t>(bytes, 1) + page_ - 1) / page_; };
      return pages(size) == pages(live.size);
    }
    const auto slot_size = static_cast<std::size_t>(place.end - place.start);
    if (slot_size == 0) return false;  // what a request of nothing gave
    const std::size_t capacity = slot_size - (place.canary ? 8 : 0);
    const std::size_t needs = std::max<std::size_t>(size, 1) + (promises_.exact ? 8 : 0);  // a canary always
    if (size <= capacity && size >= capacity / 2) return true;  // what realloc may have left where it was
    return size != 0 && self().sizes_.class_of(needs) == slot_size;
  }

  /// Frees what is not Stave's, though it looks like it.
  template <class Slot>
  void forge(const Op& op, Slot& slot) {
    constexpr std::uintptr_t kUnit = 65536;
    alignas(kUnit) static char forged[kUnit];
    const auto copy_header = [&](char* unit) {
      const Placement place = slot.address != nullptr ? self().heap_.placement(slot.address) : Placement();
      if (place.kind != Kind::slot) return std::size_t{4096 + op.argument % 1024 * 16};
      const auto offset = reinterpret_cast<std::uintptr_t>(place.header) % kUnit;
      std::memcpy(unit + offset, place.header, std::min<std::size_t>(place.header_bytes, kUnit - offset));
      return static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(slot.address) % kUnit);
    };
    if (op.code == OpCode::forge_chunk) {
      const std::size_t offset = copy_header(forged);
      ++attacks_;
      self().provoking_ = "foreign-pointer";
      self().heap_.deallocate(op.thread, forged + offset);
      return;
    }
    const char* start = nullptr;
    self().model_.for_each_live([&](const Allocation& live) {
      if (live.usable >= 3 * kUnit) start = live.address;
    });
    if (start == nullptr) return;
    Allocation* const block = self().model_.find(start);
    char* const unit = block->address + (kUnit - reinterpret_cast<std::uintptr_t>(block->address) % kUnit) % kUnit;
    const std::size_t offset = copy_header(unit);
    block->spoiled = true;
    if (unit + offset == block->address) return;
    ++attacks_;
    self().provoking_ =
        reinterpret_cast<std::uintptr_t>(unit + offset) % 8 != 0 ? "misaligned-pointer" : "interior-pointer";
    self().heap_.deallocate(op.thread, unit + offset);
  }

  template <class Slot>
  void free_unused(const Op& op, const Slot& slot) {
    if (slot.address == nullptr) return;
    Placement place = self().heap_.placement(slot.address);
    if (place.kind != Kind::slot || place.first == place.last) return;
    place = self().heap_.placement(place.last - 1);
    if (!place.unused) return;
    ++attacks_;
    self().provoking_ = "never-allocated";
    self().heap_.deallocate(op.thread, place.start);
  }

  /// What must fault. Guards are owed as far as the kernel grants them.
  template <class Slot>
  void touch(const Op& op, const Slot& slot) {
    const bool freed = op.code == OpCode::touch_freed;
    const char* const address = freed ? slot.stale : slot.address;
    if (address == nullptr || self().heap_.failures().injected() != 0) return;
    const Placement place = self().heap_.placement(address);
    const bool is_pages = place.kind == Kind::large || place.kind == Kind::sample;
    ++attacks_;
    if (freed) {
      const bool is_gone = self().model_.find(place.start) == nullptr;
      // The page of a vacant chunk's header stays, where a large block may have begun.
      const bool in_slots = reinterpret_cast<std::uintptr_t>(address) % 65536 >= page_;
      const bool is_vacant = place.kind == Kind::vacant && in_slots && !self().header_.guard_by_protect;
      if ((is_vacant || (is_pages && is_gone)) && can_be_read(address)) {
        self().fail("P14 freed memory can be read", address, "profile %u", self().header_.profile);
      }
      return;
    }
    if (place.kind == Kind::slot && place.end == place.start && can_be_read(address)) {
      self().fail("P14 what a request of nothing gave can be read", address, "profile %u", self().header_.profile);
    }
    if (self().header_.guard_by_protect) return;
    // Behind the last slot of a chunk there may be memory that is nobody's.
    for (char* const guard : {place.first - 1, is_pages ? place.last : place.first - 1}) {
      if (can_be_read(guard)) self().fail("P14 a guard can be read", guard, "beside %p", slot.address);
    }
  }
  /// The kernel reads it, or says that it cannot; unless the heap knows.
  [[nodiscard]] bool can_be_read(const char* address) const {
    if (!self().heap_.is_open(address)) return false;
    char byte = 0;
    const iovec here{&byte, 1};
    const iovec there{const_cast<char*>(address), 1};
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
  }

  using Watch = Aftermath::Watch;

  /// The header or record whose seal covers an allocation. A sample's record that is broken is not shown any more.
  [[nodiscard]] static const void* whose_seal(const Placement& place, const char* address) {
    return place.kind == Kind::slot || place.kind == Kind::large ? place.header : address;
  }

  /// Turns bits of what is the allocator's own over, in memory that an attacker who writes anywhere can reach.
  void turn_over(const Placement& place, Watch watch, const void* whose, void* at, unsigned char bits) {
    // A look at a canary where there is no memory is a touch, which ends the process.
    const std::uintptr_t in_line = reinterpret_cast<std::uintptr_t>(at) - reinterpret_cast<std::uintptr_t>(place.line);
    if (place.kind == Kind::slot && place.first == place.last && in_line % 64 / 8 == 5) return;
    *static_cast<unsigned char*>(at) ^= bits;
    aftermath_.note_flip(place.kind == Kind::slot, watch, whose, static_cast<unsigned char*>(at), bits);
    ++attacks_;
  }
  /// What watches a byte of the words of a line.
  [[nodiscard]] static Watch watch_of_line(std::size_t byte) {
    constexpr Watch kWords[] = {Watch::word, Watch::word, Watch::idle, Watch::none,
                                Watch::none, Watch::idle, Watch::idle, Watch::idle};
    return kWords[byte / 8];
  }

  template <class Slot>
  void flip(const Op& op, const Slot& slot) {
    const bool is_held = op.code == OpCode::flip_held_record;
    const char* const address = is_held ? slot.stale : slot.address;
    if (address == nullptr || aftermath_.forked()) return;
    const Placement place = self().heap_.placement(address);
    if (is_held && (place.start != address || self().model_.find(address) != nullptr)) return;
    const auto turn_one_of = [&](void* start, std::size_t bytes, auto watch_of) {
      if (start == nullptr) return;
      const std::size_t bit = op.argument % (8 * bytes);
      const bool is_line = start == place.line;
      turn_over(place, watch_of(bit / 8), is_line ? place.line : whose_seal(place, address),
                static_cast<char*>(start) + bit / 8, static_cast<unsigned char>(1U << bit % 8));
    };
    const auto watch_of_record = [&](std::size_t byte) {
      // The queue of large blocks is gone through at the end; a sample's place may never be used again.
      return byte >= place.sealed_bytes || (is_held && place.kind == Kind::sample) ? Watch::none
             : is_held                                                             ? Watch::word
                                                                                   : Watch::sealed;
    };
    const bool has_record = (op.code == OpCode::flip_header && place.kind == Kind::slot) ||
                            (op.code == OpCode::flip_large_record && place.kind == Kind::large) ||
                            (op.code == OpCode::flip_sample_record && place.kind == Kind::sample) ||
                            (is_held && (place.kind == Kind::large || place.kind == Kind::sample));
    if (has_record) {
      turn_one_of(place.header, place.header_bytes, watch_of_record);
    } else if (op.code == OpCode::flip_line) {
      turn_one_of(place.line, 64, watch_of_line);
    } else if (op.code == OpCode::flip_notes && place.notes != nullptr) {
      if (Allocation* const live = self().model_.find(address)) live->spoiled = true;
      turn_one_of(place.notes, 2, [](std::size_t) { return Watch::idle; });
    } else if (op.code == OpCode::flip_state && place.line != nullptr) {
      constexpr std::size_t kWordsOfSlots[] = {0, 1, 3, 4, 5, 6, 7};  // all but the guard word
      const std::size_t byte = kWordsOfSlots[op.detail % std::size(kWordsOfSlots)] * 8 + place.bit / 8;
      turn_over(place, watch_of_line(byte), place.line, static_cast<char*>(place.line) + byte,
                static_cast<unsigned char>(1U << place.bit % 8));
    }
  }

  /// Of a header's words that no seal covers, since they change.
  template <class Slot>
  void forge_in_header(const Op& op, const Slot& slot) {
    if (slot.address == nullptr || aftermath_.forked()) return;
    if (const Placement place = self().heap_.placement(slot.address); place.kind == Kind::slot) forge_at(op, place);
  }
  void forge_at(const Op& op, const Placement& place) {
    if (op.code == OpCode::forge_counts) {
      place.counts[0] = 1;
      place.counts[1] = place.opened;
    } else {
      const void* const target =
          op.argument % 2 == 0 ? forge_chunk_like(place) : chunk_of((op.argument >> 1U) % kSlots);
      if (target == nullptr) return;
      std::memcpy(place.links[op.detail % std::size(place.links)], &target, sizeof target);
    }
    aftermath_.note_flip(true, Watch::none, place.header, nullptr, 0);
    ++attacks_;
  }
  /// The header of the chunk in which what a slot of the program holds lies. nullptr: it lies in none.
  [[nodiscard]] const void* chunk_of(std::size_t slot) {
    const char* const address = self().slots_[slot].address;
    if (address == nullptr) return nullptr;
    const Placement place = self().heap_.placement(address);
    return place.kind == Kind::slot ? place.header : nullptr;
  }
  /// What looks like a chunk of the same heap and class, in a list by itself. Its seal holds, for another place.
  [[nodiscard]] const char* forge_chunk_like(const Placement& place) {
    std::memcpy(g_forged, place.header, std::min(place.header_bytes, sizeof g_forged));
    const char* const target = g_forged;
    for (unsigned link = 0; link != 2; ++link) {
      const auto at = static_cast<char*>(place.links[link]) - static_cast<char*>(place.header);
      std::memcpy(g_forged + at, &target, sizeof target);
    }
    std::memcpy(g_forged_before, g_forged, sizeof g_forged);
    is_forged_ = true;
    return target;
  }

  alignas(4096) static inline char g_forged[4096];
  static inline char g_forged_before[4096];
  bool is_forged_ = false;
  Promises promises_{};
  std::size_t page_ = static_cast<std::size_t>(getpagesize());
};

}  // namespace stave::props
