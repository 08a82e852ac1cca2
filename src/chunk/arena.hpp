// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where chunks come from and go to: spans of address space, cut into chunks, each pinned to its size class.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/mutant.hpp"
#include "chunk/chunk.hpp"
#include "chunk/constants.hpp"
#include "chunk/registry.hpp"
#include "os/lock.hpp"
#include "os/pages.hpp"
#include "policy/random.hpp"

namespace stave {

/// What distinguishes the process-wide allocator from an instance.
struct ProcessStorage {
  using Pages = KernelPages;
  using Registry = SparseRegistry;
  static constexpr bool kProcess = true;  ///< signals are blocked in critical sections
  /// Of chunks of one unit: what a small program needs.
  static constexpr std::size_t kFirstSpanBytes = std::size_t{1} << 20;
};
struct InstanceStorage {
  using Pages = RegionPages;
  using Registry = FlatRegistry;
  static constexpr bool kProcess = false;
  static constexpr std::size_t kFirstSpanBytes = 4 * kUnit;
};

/// Address space mapped at once and cut into chunks of one length.
struct Span {
  Span* next;
  char* start;
  std::uint32_t cells;      ///< chunks that fit
  std::uint32_t remaining;  ///< of them never used yet: the first entries of `order`
  std::uint32_t units_log2;
  std::uint16_t order[];
};

/// Places are drawn from windows, each what one leaf of the registry describes: they cost one leaf, not one each.
inline constexpr std::size_t kWindowBytes = std::size_t{1} << SparseRegistry::kLeafBits;

/// Which windows are drawn from. None: the kernel chooses all places.
struct Windows {
  std::uintptr_t first = 0;
  std::uintptr_t count = 0;
};

/// Those of an address space that ends about at `last`: above where programs without a place of their choice lie and
/// what grows behind them, and below where the kernel lays out libraries and stacks. 4 to 88 TiB of x86-64's 47 bits,
/// 16 to 352 GiB of the 39 bits that small machines have.
[[nodiscard]] constexpr Windows windows_below(std::uintptr_t last) {
  const std::uintptr_t all = last / kWindowBytes + 1;
  if (all < 16) return {};
  const std::uintptr_t first = all < 32 ? 1 : all / 32;
  return {.first = first, .count = all / 16 * 11 - first};
}

/// Counts of an arena.
struct ArenaCounts {
  std::uint64_t chunks = 0;
  std::uint64_t vacant_chunks = 0;
  std::uint64_t mapped_bytes = 0;
  std::uint64_t metadata_bytes = 0;  ///< handed out by metadata()
  std::uint64_t guards_installed = 0;
  std::uint64_t guards_skipped = 0;
};

/// Every function but the constructor's kin needs `lock` held.
template <class S>
class Arena {
 public:
  /// pre: pages and registry are started, `constants` outlives the arena.
  void start(const Constants& constants, const Seed& seed);

  /// Other random places from now on: in the child of a fork.
  void reseed(const Seed& seed) { random_.start(seed, 0); }

  /// A chunk of the class for `owner`: sealed header, nothing opened, in no list. nullptr if memory is out.
  ///
  /// Prefers a vacant chunk of the same class; then a fresh place; and only when the kernel gives no more address space
  /// a vacant chunk of another class, whose content and stale pointers were made to fault (or at least emptied) when it
  /// was vacated.
  [[nodiscard]] Chunk* acquire_chunk(SizeClass cls, void* owner);

  /// Takes an empty chunk back: its memory goes to the kernel, stale pointers into it fault, its place stays with its
  /// class. pre: nothing of it is live, held, cached or pending.
  void release_chunk(Chunk* chunk);

  /// Memory for our own records, zeroed, never given back, aligned at 64 (at a page if it has a page or more).
  [[nodiscard]] void* metadata(std::size_t bytes);

  /// Lays guards over two ranges: by advice, else by protection within the budget. What is none is counted.
  /// `second_shrinks`: part of the second is permitted one day, so that protection, which costs nothing for each page,
  /// is tried first.
  [[nodiscard]] GuardKind guard_pair(void* first, std::size_t first_bytes, void* second, std::size_t second_bytes,
                                     bool second_shrinks = false);
  /// Whether guards are laid by advice, as far as the kernel is willing.
  [[nodiscard]] bool advises() const { return guard_advice_; }
  /// For guarded samples, where guards are by protection: mappings from the budget, of which half is left to others.
  [[nodiscard]] bool spend_mappings(std::uint64_t count) {
    if (protected_ + count > constants_->options.guard_budget / 2) return false;
    protected_ += count;
    return true;
  }
  void return_mappings(std::uint64_t count) { protected_ -= count; }
  /// The guards of a pair are gone, with their mapping.
  void forget_guard_pair(GuardKind kind);

  /// A place for a new mapping of `bytes`, as a hint for pages.map.
  [[nodiscard]] std::uintptr_t random_place(std::size_t bytes);
  [[nodiscard]] std::uint64_t random_below(std::uint64_t limit) { return random_.below(limit); }

  /// Calls visit(Chunk*) for every chunk that has an owner.
  template <class Visit>
  void for_each_chunk(Visit visit) const {
    for (const Span* span = spans_; span != nullptr; span = span->next) {
      const std::size_t bytes = kUnit << span->units_log2;
      for (std::uint32_t cell = 0; cell != span->cells; ++cell) {
        const std::uintptr_t address = address_of(span->start) + cell * bytes;
        const RegistryEntry entry = registry.find(address);
        if (entry.is_chunk()) visit(header_of(entry));
      }
    }
  }

  /// Bytes of chunks, records and the registry that have memory. Records count as if all of them had.
  [[nodiscard]] std::uint64_t resident_bytes();

  typename S::Pages pages;
  typename S::Registry registry;
  Lock lock;
  ArenaCounts counts;

 private:
  /// Starts of the vacant chunks of a class. Has room for all chunks of the class there are, so that releasing cannot
  /// fail.
  struct VacantPool {
    std::uintptr_t* starts;
    std::uint32_t count;
    std::uint32_t capacity;
    std::uint32_t chunks;  ///< of this class, vacant or not
  };

  /// Any access to a chunk's slots faults from now on, and their memory goes. false: not so, as its guards are none or
  /// the kernel refused.
  [[nodiscard]] bool close_slots(char* slots, std::size_t bytes, GuardKind guard);
  [[nodiscard]] bool grow_pool(VacantPool& pool);
  [[nodiscard]] char* take_vacant(SizeClass from, SizeClass to, GuardKind* guard);
  [[nodiscard]] char* take_fresh(SizeClass cls, GuardKind* guard);
  [[nodiscard]] bool add_span(std::uint32_t units_log2);
  [[nodiscard]] Chunk* make_chunk(char* start, SizeClass cls, GuardKind guard, void* owner);
  [[nodiscard]] bool protect_pair(void* first, std::size_t first_bytes, void* second, std::size_t second_bytes);
  [[nodiscard]] bool may_protect();

  const Constants* constants_ = nullptr;
  Random random_;
  Span* spans_ = nullptr;
  Span* cut_from_[kLargestUnitsLog2 + 1] = {};          ///< the span of each chunk length that has cells left
  std::size_t span_bytes_[kLargestUnitsLog2 + 1] = {};  ///< of all spans of each chunk length
  VacantPool pools_[kClassCount] = {};
  char* metadata_next_ = nullptr;
  char* metadata_end_ = nullptr;
  bool guard_advice_ = false;
  Windows windows_;
  std::uintptr_t window_ = 0;  ///< spans and large blocks lie in a random window
  std::size_t window_used_ = 0;
  std::uint64_t protected_ = 0;  ///< mappings spent on guards by protection
  std::uint64_t guard_turn_ = 0;
};

extern template class Arena<ProcessStorage>;
extern template class Arena<InstanceStorage>;

/// Holds an arena's lock, with signals blocked where they could interrupt. Dies by `reentered` if this thread holds it.
template <class S>
class ArenaLocked {
 public:
  ArenaLocked(Arena<S>& arena, const Constants& constants) : signals_(S::kProcess), arena_(arena) {
    const bool acquired = arena_.lock.acquire();
    if (STAVE_MUTANT(reentry_not_checked) && !acquired) return;
    if (!acquired) [[unlikely]] {
      constants.die({.fault = Fault::reentered, .rule = "a critical section was entered from inside itself"});
    }
  }
  ~ArenaLocked() { arena_.lock.release(); }
  ArenaLocked(const ArenaLocked&) = delete;
  ArenaLocked& operator=(const ArenaLocked&) = delete;

 private:
  SignalsBlocked signals_;
  Arena<S>& arena_;
};

}  // namespace stave
