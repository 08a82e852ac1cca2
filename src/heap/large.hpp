// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Large blocks: one mapping each, between guards, with an exact record outside of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "chunk/arena.hpp"
#include "chunk/slot_notes.hpp"

namespace stave {

/// What is known about a large block.
///
///   mapping                                                     mapping + mapping_bytes
///   | guard | (alignment) | base ... base + usable | room | guard |      all of it whole units, registered
///                           lead | start ... | slack
///
/// Where every allocation is a sample, a block lies in its pages as a sample does; else it starts with them. Guards
/// have a random number of pages. The seal covers every field but `next`; it is verified whenever the record is read.
struct LargeRecord {
  enum class State : std::uint8_t { unused, live, held };
  static constexpr std::uint32_t kMostCuts = 31;

  std::uintptr_t base;
  std::size_t usable;     ///< whole pages
  std::size_t lead;       ///< so many lie in front of what the program has, less than a page
  std::size_t requested;  ///< of those behind
  std::uintptr_t mapping;
  std::size_t mapping_bytes;
  std::uintptr_t limit;  ///< so far it may grow in place: behind it is guard
  /// Where one mapping of the kernel's may end within the block and the next begin, ascending, from the base. The
  /// kernel moves only what lies within one.
  std::size_t cuts[kMostCuts];
  std::uint32_t cut_count;
  State state;
  GuardKind guard;
  Family family;
  std::uint64_t seal;
  std::uint32_t next;  ///< of the unused, or of the held in the order of their frees

  /// What the program has, and the bytes from there on.
  [[nodiscard]] std::uintptr_t start() const { return base + lead; }
  [[nodiscard]] std::size_t capacity() const { return usable - lead; }
};

/// Every function but one needs the arena's lock held.
template <class S>
class LargeBlocks {
 public:
  void start(const Constants& constants, Arena<S>& arena);

  /// \param request    any size; `alignment` a power of two. Contents are zero.
  /// \return nullptr if memory or address space is out.
  [[nodiscard]] void* allocate(const Request& request, std::size_t alignment);
  /// The live block that begins at `pointer`; dies if there is none. `freed_fault` names what a freed block is to this
  /// caller (double-free or freed-pointer). pre: the registry says `entry` of the pointer's unit, of kind large.
  [[nodiscard]] LargeRecord* find_live(const void* pointer, RegistryEntry entry, Fault freed_fault);
  /// Dies unless a free may say of a live block what this one does.
  void check_claim(const LargeRecord& record, const Claim& claim) const;
  /// What usable_size tells of a live block.
  [[nodiscard]] std::size_t size(const LargeRecord& record) const {
    return constants_->contents.exact ? record.requested : record.capacity();
  }
  /// The record that an entry names, as it was at one moment. The only function that needs no lock: nothing while
  /// another thread changes the record, since its seal does not verify then. pre: the entry is of kind large.
  [[nodiscard]] std::optional<LargeRecord> glimpse(RegistryEntry entry) const;
  /// Frees a block: every pointer to it faults from now on, and its address space is kept out of use for a while. Its
  /// memory goes, unless it is dense: then it waits elsewhere for the next blocks, as much as may (`spare_large_kb`).
  void free(LargeRecord* record) { free(record, true); }
  /// Changes the size in place or by moving the pages. nullptr: could not, nothing happened. A block that grows gets
  /// room behind it to grow on, as much again. Nothing of this for a block that ends where its pages do.
  [[nodiscard]] void* resize(LargeRecord* record, std::size_t size);
  /// Gives back pages that wait, and address space that is kept out of use. true if any went.
  bool flush_held();

  /// Bytes of the pages that serve a request; nobody has none.
  [[nodiscard]] std::size_t pages_for(std::size_t size) const {
    return align_up(size == 0 ? 1 : size, constants_->page);
  }
  template <class Visit>
  void for_each_record(Visit visit) const {
    for (std::uint32_t i = 1; i < next_fresh_; ++i) visit(at(i), i);
  }
  /// How many records the queue of freed blocks, or the list of unused records, leads to. One that is broken ends
  /// early.
  [[nodiscard]] std::uint32_t listed(LargeRecord::State state) const {
    std::uint32_t count = 0;
    for (std::uint32_t number = state == LargeRecord::State::held ? held_first_ : unused_;
         number != 0 && number < next_fresh_ && count != next_fresh_ && at(number).state == state;
         number = at(number).next) {
      ++count;
    }
    return count;
  }
  /// The record of a unit, whether it verifies or not; nullptr: there is none.
  [[nodiscard]] const LargeRecord* look(RegistryEntry entry) const {
    return entry.record() == 0 || entry.record() >= next_fresh_ ? nullptr : &at(entry.record());
  }
  /// Whether the seal of a record holds.
  [[nodiscard]] bool verifies(const LargeRecord& record) const { return record.seal == seal(record, &record); }

  std::uint64_t live_count = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t most_live_bytes = 0;
  std::uint64_t served = 0;

 private:
  static constexpr std::uint32_t kPerBlock = 256;
  static constexpr std::uint32_t kBlocks = 4096;

  [[nodiscard]] LargeRecord& at(std::uint32_t number) const { return blocks_[number / kPerBlock][number % kPerBlock]; }
  /// What the seal of the record at `place` must be.
  [[nodiscard]] std::uint64_t seal(const LargeRecord& record, const LargeRecord* place) const;
  void set_state(LargeRecord& record, LargeRecord::State state);
  /// What is known of a fault at a block.
  [[nodiscard]] FaultRecord fault_at(Fault fault, const char* rule, const LargeRecord& record,
                                     const void* address) const;
  void add_live_bytes(std::size_t bytes) {
    live_bytes += bytes;
    if (live_bytes > most_live_bytes) most_live_bytes = live_bytes;
  }
  [[nodiscard]] std::uint32_t take_record();
  void forget(std::uint32_t number);
  /// Unmaps the block that is held for the longest time. false: the kernel will not now, and it is the newest again.
  [[nodiscard]] bool drop_oldest_held();
  void hold(std::uint32_t number);
  void register_units(const LargeRecord& record, RegistryEntry entry);
  /// The pages of a guard beside a block, in bytes.
  [[nodiscard]] std::size_t random_guard();
  [[nodiscard]] char* map_units(std::size_t bytes);
  /// `may_spare`: its pages may be kept.
  void free(LargeRecord* record, bool may_spare);
  /// `may_spare`: spare pages may come to lie in it. `room`: so much more address space behind it, in whole pages.
  [[nodiscard]] void* allocate(const Request& request, std::size_t alignment, bool may_spare, std::size_t room);
  /// false: there is no room, and nothing happened.
  [[nodiscard]] bool grow_in_place(LargeRecord& record, std::size_t size);
  /// A block in its place has another size now.
  void note_size(LargeRecord& record, std::size_t size);
  /// Whether blocks may end where their pages do: then each stays for the size that it has.
  [[nodiscard]] bool ends_with_pages() const {
    return constants_->options.sample_interval == 1 && constants_->options.sample_placement != kPlaceLeft;
  }
  /// So many bytes of a block's pages lie in front of it.
  [[nodiscard]] std::size_t choose_lead(const Request& request, std::size_t alignment) const;
  /// Dies if something was written around what was asked for.
  void check_slack(const LargeRecord& record);
  void check_lead(const LargeRecord& record);
  [[nodiscard]] bool is_dense(const LargeRecord& record);
  static void cut(LargeRecord& record, std::size_t offset);
  /// Where the piece that begins at `from` ends, which lies in one mapping: at `to` at the latest.
  [[nodiscard]] static std::size_t end_of_piece(const LargeRecord& record, std::size_t from, std::size_t to);
  /// Moves the first bytes of a block to the beginning of another one. false: nothing was moved.
  [[nodiscard]] bool move_block(const LargeRecord& record, std::size_t bytes, LargeRecord& target);
  enum class Moved : unsigned char { yes, no, target_lost };
  /// The kernel may take what lies at the target away and then refuse: if so, there is fresh memory, or it is lost.
  [[nodiscard]] Moved move(std::uintptr_t source, std::size_t bytes, std::uintptr_t target);
  /// Puts a place for spare pages where there is none, or makes it larger, emptied. false: there is none for so many.
  [[nodiscard]] bool make_spare_room(std::size_t bytes);
  [[nodiscard]] std::size_t spare_limit() const { return constants_->options.spare_large_kb << 10; }
  /// Moves [from, to) of a block that is freed to the spare pages, as much of it as may be. false: nothing was moved.
  [[nodiscard]] bool keep_pieces(const LargeRecord& record, std::size_t from, std::size_t to);
  /// Moves pages of a block that is freed to the spare ones, as many as there is room for.
  void keep_spare(const LargeRecord& record);
  /// Moves spare pages, zeroed, to [from, to) of a block, as many as there are. `cuts`: so many more are to come.
  /// false: that place is not usable any more.
  [[nodiscard]] bool use_spare(LargeRecord& record, std::size_t from, std::size_t to, std::uint32_t cuts);
  /// Gives a piece of the spare pages back to the kernel.
  void drop_spare_piece(std::uint32_t number);
  void remove_spare_piece(std::uint32_t number);
  [[nodiscard]] std::uint32_t best_spare_piece(std::size_t bytes) const;
  /// All of them, and their place. true if there was one.
  bool drop_spare();
  /// Replaces a held block by a mapping without access, so that its memory is gone.
  void withdraw(const LargeRecord& record);
  [[nodiscard]] LargeRecord& held(std::uint32_t number) const;
  [[noreturn]] STAVE_COLD void die_of_queue() const;

  const Constants* constants_ = nullptr;
  Arena<S>* arena_ = nullptr;
  std::uint32_t next_fresh_ = 0;  // from the start on at least 1: number 0 is nobody's
  std::uint32_t unused_ = 0;
  std::uint32_t held_first_ = 0;
  std::uint32_t held_last_ = 0;
  std::uint32_t held_count_ = 0;
  std::size_t held_bytes_ = 0;
  // Spare pages lie at a place of their own, which no pointer of the program's leads to. What is empty of it has no
  // access, or no memory.
  static constexpr std::uint32_t kMostSparePieces = 64;
  struct Piece {
    std::uintptr_t start;
    std::size_t bytes;  ///< within one mapping
  };
  std::uintptr_t spare_start_ = 0;
  std::size_t spare_room_ = 0;                 ///< 0: there is no place
  std::size_t spare_bytes_ = 0;                ///< of all pieces
  Piece spare_pieces_[kMostSparePieces] = {};  ///< ascending
  std::uint32_t spare_count_ = 0;
  bool moves_one_ = false;  ///< the kernel moves no more than one mapping by a call: before Linux 6.17
  LargeRecord* blocks_[kBlocks] = {};
};

extern template class LargeBlocks<ProcessStorage>;
extern template class LargeBlocks<InstanceStorage>;

}  // namespace stave
