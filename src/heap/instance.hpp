// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A whole allocator on memory of its own: what fuzzers, model tests and stave.h's heaps use.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fault.hpp"
#include "chunk/slot_notes.hpp"
#include "heap/stats.hpp"
#include "heap/verify.hpp"
#include "policy/profile.hpp"

namespace stave {

/// The calls to the kernel that an instance makes, for tests that let each of them fail.
enum class SysCall : std::uint8_t { map, unmap, protect, discard, guard_install, guard_remove, remap };

/// What an instance takes from outside.
struct InstanceConfig {
  /// Bytes of address space that the instance may use, rounded up to 64 KiB. All of it is reserved at creation.
  std::size_t region_bytes = std::size_t{256} << 20;
  /// All randomness of the instance follows from it. The same seed and the same calls give the same addresses
  /// relative to the region.
  std::uint64_t seed = 1;
  Profile profile = Profile::standard;
  /// false: guard pages are laid by mprotect, as on kernels before 6.13.
  bool use_guard_advice = true;
  /// Lays everything out for pages of 4, 16 or 64 KiB, a multiple of the machine's; 0: for the machine's.
  std::size_t page_bytes = 0;
  /// The number of threads that the instance serves, at most kMaxThreads. Threads are logical: any OS thread may act
  /// as any of them, but two OS threads never as the same one at once.
  unsigned threads = 1;
  /// The first allocations of each class come from a heap that all threads share, as where threads are very many.
  bool threads_borrow = false;
  /// Guarded samples, as often as the profile says; they take a quarter of the region at most. false: none.
  bool samples = false;
  /// No access is ended: guards and what is given back are only noted, and is_open says what would fault. Much faster
  /// where instances are reset often.
  bool pretend_guards = false;
  /// Whatever the profile says, sanitizers see what they can: no two allocations lie side by side, nothing is left in a
  /// freed slot, and guard pages are known to the kernel as mappings without access.
  bool watched = false;
  /// Called on a fault; must not return (it aborts, throws nothing, or leaves by longjmp). nullptr: report and abort.
  /// After it was called the instance may only be reset or destroyed.
  void (*on_fault)(void* context, const FaultRecord& record) = nullptr;
  /// Called before each call to the kernel; true lets that call fail with ENOMEM. nullptr: none fails.
  bool (*fail)(void* context, SysCall call) = nullptr;
  /// Called at each named yield point inside the protocol, so that a test can act as another logical thread there. Only
  /// in builds with STAVE_YIELD_POINTS. nullptr: none.
  void (*on_yield)(void* context, const char* point) = nullptr;
  void* context = nullptr;
};

/// Where an address lies, and what an attacker finds there: for fuzzers that play one. Nothing is checked.
struct Placement {
  enum class Kind : std::uint8_t {
    none,    ///< not the instance's, or its own records
    slot,    ///< in a slot of a chunk
    large,   ///< in a large block or its guards, live or freed
    sample,  ///< in a guarded sample's place, live or freed
    vacant,  ///< in a chunk that was given back
    other,   ///< in a chunk's header, a guard, or behind its slots
  };
  Kind kind = Kind::none;
  bool held = false;       ///< a slot that was freed, and may not be handed out before it was looked at
  bool unused = false;     ///< a slot that was never handed out
  bool canary = false;     ///< a canary lies in the slot's last 8 bytes
  char* start = nullptr;   ///< of the slot, block or sample: what the program gets
  char* end = nullptr;     ///< behind what of it has memory
  char* first = nullptr;   ///< of the memory around that can be written: slots of a chunk, or the pages of what is live
  char* last = nullptr;    ///< behind that
  void* header = nullptr;  ///< of the chunk, or the record of the large block or sample
  std::size_t header_bytes = 0;
  std::size_t sealed_bytes = 0;     ///< the first of them, which never change while the seal holds
  void* links[3] = {};              ///< where a chunk has its next, its previous, and its next one in an inbox
  std::uint32_t* counts = nullptr;  ///< of the chunk: how many frees until it is looked at, and what is free then
  std::uint32_t opened = 0;         ///< of the chunk: slots that may have been handed out
  unsigned owner = ~0U;             ///< of the chunk: the logical thread, if it has one
  void* line = nullptr;             ///< of the slot: the words, of 8 bytes each, of it and its 63 neighbours
  unsigned bit = 0;                 ///< of the slot in these words
  void* notes = nullptr;            ///< of the slot: two bytes. nullptr: nothing is remembered
};

/// An allocator instance. Functions take the number of the logical thread that acts, below `threads`.
///
/// Errors are as for the functions of the C library with the same meaning: nullptr and errno.
class Instance {
 public:
  static constexpr unsigned kMaxThreads = 64;

  /// Makes an instance. nullptr with errno ENOMEM when its region cannot be had, EINVAL for a bad config.
  [[nodiscard]] static Instance* create(const InstanceConfig& config);
  /// Gives back everything, live allocations included.
  static void destroy(Instance* instance);

  /// Brings the instance to the state after create(), with another seed; costs about the pages that were dirtied.
  /// Allowed after a fault, and from a frame to which on_fault jumped.
  void reset(std::uint64_t seed);
  /// The same with another configuration. false with EINVAL, and nothing changed: it is bad, its region is larger than
  /// at creation, or guards are not pretended as then.
  [[nodiscard]] bool reset(const InstanceConfig& config);

  /// What the first call of a logical thread that allocates begins with, and a later one does not need. false: there is
  /// no memory for it.
  [[nodiscard]] bool start_thread(unsigned thread);
  [[nodiscard]] void* allocate(unsigned thread, Request request);
  [[nodiscard]] void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size);
  /// `alignment` must be a power of two, or the result is nullptr with EINVAL.
  [[nodiscard]] void* allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size);
  /// realloc of the C library, glibc's reading: size 0 with a pointer frees and gives nullptr.
  [[nodiscard]] void* reallocate(unsigned thread, void* pointer, std::size_t size);
  void deallocate(unsigned thread, void* pointer, const Claim& claim = {});
  [[nodiscard]] std::size_t usable_size(unsigned thread, const void* pointer);

  /// The logical thread ends: its heap becomes an orphan, which another thread may adopt. The number may be used
  /// again afterwards, for a new thread.
  void exit_thread(unsigned thread);
  /// What a child of fork does when `survivor` called fork: every other thread is gone. With on_yield, the others may
  /// have stopped at any yield point.
  void fork_child(unsigned survivor);
  /// Gives unused memory back to the kernel. true if there was any.
  bool trim(unsigned thread);

  /// Runs every numbered invariant (heap/verify.hpp) while no other call is under way. Touches nothing.
  [[nodiscard]] VerifyResult verify() const;
  [[nodiscard]] Stats stats() const;
  [[nodiscard]] Placement placement(const void* address) const;
  /// Whether an address may be touched, if guards are pretended. True if they are not: the kernel knows.
  [[nodiscard]] bool is_open(const void* address) const;
  /// What a report would say of an address, without a fault.
  [[nodiscard]] FaultRecord describe(const void* address) const;

  /// First byte and size of the region: every slot and every header lies inside.
  [[nodiscard]] char* region() const;
  [[nodiscard]] std::size_t region_bytes() const;

  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

 private:
  Instance() = default;
  ~Instance() = default;
};

}  // namespace stave
