// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Guarded samples: a share of the allocations lies on pages of its own, whose neighbours fault, and is remembered with
// the calls that made and freed it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "chunk/arena.hpp"
#include "chunk/slot_notes.hpp"

namespace stave {

/// What is known of a place for samples, and of the latest sample in it.
///
///   place                                                                              place + place_bytes
///   | guard ... | laid | base ... base + requested | laid | guard ...      |  all registered, for ever
///               data: whole pages                         data + data_bytes
///
/// Only the data of a live sample can be accessed. What is laid around it is looked at when it is freed. The seal
/// covers all but `next_idle`, `fill` and the calls; it is verified whenever the record is read.
struct SampleRecord {
  enum class State : std::uint8_t { unused, live, held, stuck };  ///< stuck: freed, and it cannot be made to fault

  std::uintptr_t place;
  std::uintptr_t data;
  std::uintptr_t base;
  std::size_t requested;
  std::uint64_t order;  ///< its number among the samples of the allocator, from 1 on
  std::uint64_t fill;   ///< what is laid around it
  std::uint32_t data_bytes;
  GuardKind guard;  ///< how its data was made to fault
  State state;
  Family family;
  std::uint64_t seal;
  CallStack allocated;
  CallStack freed;
};

/// Every function needs the arena's lock held, but those that say otherwise.
template <class S>
class Samples {
 public:
  /// What an allocation that is to be a sample brings along.
  struct Wish {
    Request request;
    std::size_t alignment;  ///< a power of two
    std::uint64_t choice;   ///< random bits: where it lies
    std::uint64_t fill;     ///< and what is laid around it
    const void* frame;      ///< from which its calls are taken
  };

  /// \param seed       what sample_seed repeats, if the option does not say
  /// \param most_units  so many units of address space at most
  void start(const Constants& constants, Arena<S>& arena, std::uint64_t seed, std::size_t most_units);

  /// Whether there are samples at all. Needs no lock.
  [[nodiscard]] bool any() const { return pools_[0].most != 0; }
  /// Whether a sample can be made of such an allocation, if there is a place. Needs no lock.
  [[nodiscard]] bool takes(std::size_t requested, std::size_t alignment) const;
  /// nullptr: there is no place. Contents are zero. pre: takes it.
  [[nodiscard]] void* allocate(const Wish& wish);
  /// As of LargeBlocks. pre: the registry says `entry` of the pointer's unit, of kind sample.
  [[nodiscard]] SampleRecord* find_live(const void* pointer, RegistryEntry entry, Fault freed_fault);
  /// The live sample that contains the address, or nullptr. Needs no lock.
  [[nodiscard]] const SampleRecord* find_around(const void* address, RegistryEntry entry) const;
  /// Dies unless a free may say of a live sample what this one does.
  void check_claim(const SampleRecord& record, const Claim& claim) const;
  /// Frees a sample: dies if what lies around it was written, and else every pointer to it faults from now on. Its
  /// place waits among the others.
  void free(SampleRecord* record, const void* frame);

  /// The first byte around a live sample that is not as it was laid, or nullptr.
  [[nodiscard]] const void* changed_around(const SampleRecord& record) const;
  /// Dies of such a byte.
  void check_around(const SampleRecord& record) const;
  template <class Visit>
  void for_each_record(Visit visit) const {
    for (std::uint32_t number = 1; number <= step_count_ * kStep; ++number) visit(at(number), number);
  }
  [[nodiscard]] bool verifies(const SampleRecord& record) const { return record.seal == seal(record); }
  /// Of the place with that number.
  [[nodiscard]] std::size_t place_bytes(std::uint32_t number) const { return pool_of(number).place_bytes; }
  /// The record of a unit, or nullptr if there is none that verifies. Needs no lock, and may then miss one that
  /// changes.
  [[nodiscard]] const SampleRecord* look(RegistryEntry entry) const;
  /// All that a report says of a sample.
  [[nodiscard]] FaultRecord describe(const SampleRecord& record) const;

  std::uint64_t live_count = 0;
  std::uint64_t live_bytes = 0;  ///< requested
  std::uint64_t served = 0;
  std::uint64_t seed = 0;
  Random random;  ///< of allocations that no heap speaks for

 private:
  static constexpr std::uint32_t kStep = 64;  ///< places that are made at once
  static constexpr std::uint32_t kMostSteps = 1152;

  /// Places of one length. Those that are not live wait in a ring: what was freed last is taken last, more or less.
  struct Pool {
    std::size_t place_bytes = 0;
    std::uint32_t most = 0;         ///< places that there may be, a multiple of kStep
    std::uint32_t count = 0;        ///< places that there are
    std::uint32_t* ring = nullptr;  ///< numbers of records, room for `most`
    std::uint32_t first = 0;
    std::uint32_t idle = 0;
    bool refused = false;  ///< the kernel gave no more
  };
  struct Step {
    SampleRecord* records;
    std::uint8_t pool;
  };

  [[nodiscard]] SampleRecord& at(std::uint32_t number) const {
    return steps_[(number - 1) / kStep].records[(number - 1) % kStep];
  }
  [[nodiscard]] const Pool& pool_of(std::uint32_t number) const { return pools_[steps_[(number - 1) / kStep].pool]; }
  [[nodiscard]] std::size_t most_data(const Pool& pool) const { return pool.place_bytes - 2 * constants_->page; }
  [[nodiscard]] std::uint64_t seal(const SampleRecord& record) const;
  /// The record of a unit, or this dies.
  [[nodiscard]] SampleRecord& find(const void* pointer, RegistryEntry entry) const;
  [[nodiscard]] bool add_step(std::uint8_t pool);
  [[nodiscard]] bool open(GuardKind guard, void* data, std::size_t bytes);
  [[nodiscard]] bool close(SampleRecord& record, std::size_t place_bytes);

  const Constants* constants_ = nullptr;
  Arena<S>* arena_ = nullptr;
  std::uint32_t step_count_ = 0;
  Pool pools_[2] = {};  ///< for what fits a unit, and, if all is sampled, for the largest slots
  Step steps_[kMostSteps] = {};
};

extern template class Samples<ProcessStorage>;
extern template class Samples<InstanceStorage>;

}  // namespace stave
