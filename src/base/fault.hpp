// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The vocabulary of detected faults.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stave {

/// A violation of memory safety that a check detected. Ordinary failure (no memory, a size that overflows, a bad
/// alignment) is errno and never a fault.
enum class Fault : std::uint8_t {
#define STAVE_FAULT(name, id, built, cause, option) name,
#include "base/fault.def"
#undef STAVE_FAULT
};

inline constexpr std::size_t kFaultCount = 0
#define STAVE_FAULT(name, id, built, cause, option) +1
#include "base/fault.def"
#undef STAVE_FAULT
    ;

/// The calls that led to something: return addresses, the innermost first, of a thread that is named as gdb does.
struct CallStack {
  static constexpr std::size_t kMost = 14;

  std::uintptr_t thread;
  std::size_t count;
  std::uintptr_t frames[kMost];

  /// No seal covers the calls of a sample: a count that was overwritten must not keep a report from being made.
  [[nodiscard]] std::size_t shown() const { return count < kMost ? count : kMost; }
};

/// Bytes that should not be there. One that is as it was left is not told: of a canary it would be the secret.
struct Written {
  static constexpr std::size_t kMost = 16;

  std::size_t count;
  std::uint32_t told;  ///< a bit for each byte
  unsigned char bytes[kMost];
};

/// Everything that may be known about a fault when it is detected. A field that is not known is zero.
struct FaultRecord {
  Fault fault{};
  const char* rule = nullptr;     ///< the check that fired, as a static phrase
  const void* address = nullptr;  ///< the pointer that the caller named, or the damaged word
  const void* chunk = nullptr;    ///< first byte of the chunk or of the large block's mapping
  std::size_t slot_size = 0;      ///< bytes of a slot of the chunk, or of the large block
  std::size_t slot = 0;           ///< index of the slot, meaningful if slot_size != 0 and not large
  bool large = false;             ///< the address belongs to a large block
  const char* state = nullptr;    ///< live, held, marked, free, never-used
  const void* changed = nullptr;  ///< the first byte of the slot that is not as it was left
  Written written{};              ///< what stands there now
  std::size_t requested = 0;      ///< what the latest allocation there was asked for, if `family` is known
  const char* family = nullptr;   ///< by which functions

  // Of a memory function, or of an access that faulted at `address`.
  const char* function = nullptr;      ///< its name; nullptr: an access
  const char* access = nullptr;        ///< read or write
  std::size_t bytes = 0;               ///< so many from the address on
  const void* allocation = nullptr;    ///< the allocation that they leave, or that the access is attributed to
  std::size_t allocation_bytes = 0;    ///< how long that is
  const CallStack* touched = nullptr;  ///< who made the access

  // Of a guarded sample, which is then what slot_size and chunk speak of.
  std::uint64_t sample = 0;              ///< its number in the order of samples; 0: it is none
  std::uint64_t sample_seed = 0;         ///< the option with which it is one again
  const CallStack* allocated = nullptr;  ///< the latest allocation here
  const CallStack* freed = nullptr;      ///< and its free
};

/// The stable kebab-case id, as it stands in reports and as a heading of SECURITY.md.
[[nodiscard]] constexpr const char* fault_id(Fault fault) {
  constexpr const char* kIds[] = {
#define STAVE_FAULT(name, id, built, cause, option) id,
#include "base/fault.def"
#undef STAVE_FAULT
  };
  return kIds[static_cast<std::size_t>(fault)];
}

/// The option that leaves the check out, as it is written in STAVE_OPTIONS; "": there is none.
[[nodiscard]] constexpr const char* fault_option(Fault fault) {
  constexpr const char* kOptions[] = {
#define STAVE_FAULT(name, id, built, cause, option) option,
#include "base/fault.def"
#undef STAVE_FAULT
  };
  return kOptions[static_cast<std::size_t>(fault)];
}

/// One sentence on what usually causes the fault.
[[nodiscard]] constexpr const char* fault_cause(Fault fault) {
  constexpr const char* kCauses[] = {
#define STAVE_FAULT(name, id, built, cause, option) cause,
#include "base/fault.def"
#undef STAVE_FAULT
  };
  return kCauses[static_cast<std::size_t>(fault)];
}

/// Whether a check in the tree reports this fault today.
[[nodiscard]] constexpr bool fault_is_built(Fault fault) {
  constexpr bool kBuilt[] = {
#define STAVE_FAULT(name, id, built, cause, option) (built) != 0,
#include "base/fault.def"
#undef STAVE_FAULT
  };
  return kBuilt[static_cast<std::size_t>(fault)];
}

}  // namespace stave
