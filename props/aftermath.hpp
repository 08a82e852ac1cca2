// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a heap owes after misuse: the expectation table. One line for each thing that an attacker leaves behind:
//
// clang-format off
//   left behind                            profiles              owed
//   ------------------------------------   -------------------   ------------------------------------------------------
//   bytes behind a live allocation that    those that watch      death by overflow (or underflow) when that allocation
//   are watched: canary, slack, pages'     them                  is freed or resized, by whomever (a large block: unless
//   rest                                                         the kernel then refuses access to its last page);
//                                                                perhaps earlier, when its neighbour is
//   a canary, when its owner frees the     strict, fuzz          death by overflow (or underflow)
//   slot behind it, of the same 64
//   the same of a slot that another        the same              nothing; perhaps that death, when its neighbour is
//   thread freed and its owner did not                           freed
//   collect yet, or that a fork lost
//   bytes of a freed slot that is held     strict, fuzz          death by write-after-free before the slot is handed
//                                                                out; perhaps at any call of its owner
//   other bytes of memory that is nobody's all                   nothing, but that calloc's zeros are not owed there;
//                                                                after a fork perhaps death by write-after-free: all
//                                                                that a lost heap had free is held then
//   bytes of another live allocation       all                   nothing: they were the program's to lose
//   what is sealed of a chunk's header,    all                   death by corrupt-header, of a record corrupt-record,
//   of a large record or of a sample's                           when an allocation of it is freed, resized or measured
//   a bit that says what is live or held,  all                   death by some name before the program's end
//   or of a freed large block's record,
//   and no bit of what has no guard
//   any bit of a chunk's header, words or  all                   perhaps death by some name, at any call; never two
//   notes, or of a record; a pointer or a                        owners of a byte, a slot elsewhere than among slots, a
//   count that was forged                                        change of what is live, calloc that is not zero, or a
//                                                                write to what was forged (but a realloc keeps as much
//                                                                as the notes say that the slot has)
// clang-format on
//
// No claim is made of a bit that changes while a heap waits for its sweep after a fork: there a word whose guard is one
// step behind is what a thread left that fork stopped, and is finished. So programs have either.
//
// Whatever else the heap does is a finding. The profiles' promises stand here once more, not read from options.def: a
// table that is made of what it judges judges nothing.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace stave::props {

/// What a profile promises to find.
struct Promises {
  bool canary;    ///< 8 bytes at the end of a slot, where they lie
  bool exact;     ///< the slack behind a request
  bool zeroed;    ///< a slot is zero once it was freed
  bool writes;    ///< writes to held slots
  bool front;     ///< the canary in front of a slot that is freed
  bool families;  ///< the wrong kind of free
  bool sized;     ///< the wrong size
  bool exactly;   ///< also one of the right class
};

[[nodiscard]] constexpr Promises promises_of(unsigned profile) {
  constexpr Promises kTable[] = {
      {false, false, false, false, false, false, false, false},  // light
      {true, false, true, false, false, false, true, false},     // default
      {true, true, true, true, true, true, true, false},         // strict
      {true, true, true, true, true, true, true, true},          // fuzz
  };
  return kTable[profile % 4];
}
/// So much slack behind a request is watched, but for the canary.
inline constexpr std::size_t kWatchedSlack = 64;

/// Bytes that an attacker changed and that are owed an answer, or excuse one.
class Aftermath {
 public:
  enum class Kind : std::uint8_t {
    end,      ///< behind a live allocation, watched
    pending,  ///< the same, but it was freed and not collected, or nobody will ever free it
    held,     ///< in a freed slot, watched
    nobodys,  ///< in memory that is nobody's, and not watched
  };

  void clear() { *this = Aftermath(); }

  /// Notes that the byte at `at`, of the slot or block that starts at `slot`, is about to become `value`, for the first
  /// time or once more. false: no more can be noted, and the byte must stay.
  [[nodiscard]] bool note(Kind kind, const char* slot, char* at, char value) {
    for (std::size_t i = 0; i != count_; ++i) {
      if (marks_[i].at != at) continue;
      // What was written before may have been cleared meanwhile, and what lies there may be another thing now.
      if (!marks_[i].changed() || *at != marks_[i].left) marks_[i] = {at, slot, *at, value, kind};
      marks_[i].left = value;
      if (value == marks_[i].before) marks_[i] = marks_[--count_];  // put back: what the heap does next is its own
      return true;
    }
    if (count_ == marks_.size()) return false;
    marks_[count_++] = {at, slot, *at, value, kind};
    return true;
  }
  /// What it is that an attacker changed of the allocator's own.
  enum class Watch : std::uint8_t {
    sealed,  ///< by the seal of a header or record, at each use
    word,    ///< by a guard word, a copy or a seal, before the end
    none,    ///< by nothing, or only where it matters
    idle,    ///< by nothing, and no call's way depends on it
  };
  /// Notes that `bits` of the byte at `at` were turned over, which are of the header, record or line `whose`.
  void note_flip(bool of_chunk, Watch watch, const void* whose, const unsigned char* at, unsigned char bits) {
    (of_chunk ? chunk_flipped_ : record_flipped_) = true;
    if (watch == Watch::idle) return;
    if (watch == Watch::none) {
      stray_ = true;
      return;
    }
    const auto end = flips_.begin() + flip_count_;
    auto flip = std::find_if(flips_.begin(), end, [=](const Flip& each) { return each.at == at; });
    if (flip == end && flip_count_ == flips_.size()) {
      too_many_ = true;
      return;
    }
    if (flip == end) *flip = {at, whose, watch, 0}, ++flip_count_;
    flip->bits ^= bits;
  }
  /// Whether what is sealed of a header or record is not what it was. (While a chunk is open, two changes of the same
  /// bit may hide one another: nothing of the header is used then.)
  [[nodiscard]] bool seal_is_broken(const void* whose) const {
    unsigned char sum[8] = {};
    for (std::size_t i = 0; i != flip_count_; ++i) {
      if (flips_[i].watch == Watch::sealed && flips_[i].whose == whose) {
        sum[reinterpret_cast<std::uintptr_t>(flips_[i].at) % 8] ^= flips_[i].bits;
      }
    }
    return !too_many_ && std::any_of(std::begin(sum), std::end(sum), [](unsigned char byte) { return byte != 0; });
  }
  /// Whether a program cannot end well: a guarded bit is turned over, and nothing that could hide it.
  [[nodiscard]] bool owes_death() const {
    return !stray_ && !too_many_ && std::any_of(flips_.begin(), flips_.begin() + flip_count_, [](const Flip& flip) {
      return flip.watch == Watch::word && flip.bits != 0;
    });
  }
  void note_fork() { forked_ = true; }

  /// Whether something was done that excuses deaths.
  [[nodiscard]] bool any() const { return flipped() || count_ != 0; }
  [[nodiscard]] bool flipped() const { return chunk_flipped_ || record_flipped_; }
  [[nodiscard]] bool forked() const { return forked_; }

  /// Whether freeing or resizing the allocation at `slot` must end in death.
  [[nodiscard]] bool end_is_broken(const char* slot) const {
    return find([slot](const Mark& mark) { return mark.kind == Kind::end && mark.slot == slot && mark.changed(); });
  }
  /// Whether what lies in [from, to) behind a live allocation is changed.
  [[nodiscard]] bool end_is_broken(const char* from, const char* to) const {
    return find([=](const Mark& mark) { return mark.kind == Kind::end && mark.is_in(from, to) && mark.changed(); });
  }
  /// Whether handing out [from, to) hides a write that had to be found.
  [[nodiscard]] bool hides_write(const char* from, const char* to) const {
    return find([=](const Mark& mark) { return mark.kind == Kind::held && mark.is_in(from, to) && mark.changed(); });
  }
  /// Whether bytes of [from, to) need not be zero.
  [[nodiscard]] bool excuses_bytes(const char* from, const char* to) const {
    return find([=](const Mark& mark) { return mark.is_in(from, to); });
  }
  /// [from, to) was handed out, or the slot that starts at `from` was freed: what was there before is forgotten.
  void forget(const char* from, const char* to) {
    keep_if([=](const char* at) { return at < from || at >= to; });
  }
  /// Nobody need find what was done to the end of the allocation at `slot`: who could free it is gone, or could not
  /// look.
  void abandon(const char* slot) {
    for (Mark& mark : marks_) {
      if (mark.kind == Kind::end && mark.slot == slot) mark.kind = Kind::pending;
    }
  }
  /// Forgets all but the bytes of which `is_kept(address)` says true.
  template <class IsKept>
  void keep_if(IsKept is_kept) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i != count_; ++i) {
      if (is_kept(marks_[i].at)) marks_[kept++] = marks_[i];
    }
    count_ = kept;
  }
  /// Whether the end of an allocation is still as the attacker left it. (A held slot need not be used again.)
  [[nodiscard]] bool owes() const {
    return find([](const Mark& mark) { return mark.kind == Kind::end && mark.changed(); });
  }

  /// Whether a death by this fault can come from what was done.
  [[nodiscard]] bool explains(std::string_view fault) const {
    if (chunk_flipped_ && explains_flip(fault)) return true;
    // What is laid around a sample is remembered beside what its seal covers.
    if (record_flipped_) return fault == "corrupt-record" || fault == "overflow" || fault == "underflow";
    if (fault == "overflow" || fault == "underflow") {
      return find([](const Mark& m) { return m.kind == Kind::end || m.kind == Kind::pending; });
    }
    return fault == "write-after-free" &&
           find([this](const Mark& m) { return m.kind == Kind::held || (forked_ && m.kind == Kind::nobodys); });
  }

 private:
  struct Mark {
    char* at;
    const char* slot;
    char before;
    char left;  ///< by the attacker
    Kind kind;

    [[nodiscard]] bool changed() const { return *at != before; }
    [[nodiscard]] bool is_in(const char* from, const char* to) const { return at >= from && at < to; }
  };

  struct Flip {
    const unsigned char* at;
    const void* whose;
    Watch watch;
    unsigned char bits;
  };

  template <class Is>
  [[nodiscard]] bool find(Is is) const {
    for (std::size_t i = 0; i != count_; ++i) {
      if (is(marks_[i])) return true;
    }
    return false;
  }
  /// Bits of headers and notes look like many a misuse; none of them is a crash, or a failure of our own.
  [[nodiscard]] static bool explains_flip(std::string_view fault) {
    for (const std::string_view name :
         {"corrupt-header", "corrupt-bitmap", "corrupt-list", "double-free", "freed-pointer", "never-allocated",
          "interior-pointer", "misaligned-pointer", "overflow", "underflow", "write-after-free", "family-mismatch",
          "size-mismatch"}) {
      if (fault == name) return true;
    }
    return false;
  }

  std::array<Mark, 256> marks_;
  std::size_t count_ = 0;
  std::array<Flip, 64> flips_;
  std::size_t flip_count_ = 0;
  bool chunk_flipped_ = false;
  bool record_flipped_ = false;
  bool stray_ = false;     ///< something was changed that may keep a chunk from being looked at
  bool too_many_ = false;  ///< flips
  bool forked_ = false;
};

}  // namespace stave::props
