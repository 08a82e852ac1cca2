// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Address space and memory from the kernel: the whole contract with it.
//
// Each function is one system call (map may need more). Failure is an answer, never a fault: a limit may be reached or
// a filter installed at any moment. Nothing is cached about what failed: MADV_GUARD_INSTALL fails on locked memory and
// works beside it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.hpp"

namespace stave {

/// One unit of address space: the size and alignment of a chunk of one unit, and the grain of the registry.
inline constexpr std::size_t kUnit = std::size_t{64} << 10;

/// Pages are of 4, 16 or 64 KiB, which the kernel says at start; x86-64 has those of 4 KiB alone.
#if defined(__x86_64__)
inline constexpr std::size_t kLargestPage = 4096;
#else
inline constexpr std::size_t kLargestPage = kUnit;
#endif
[[nodiscard]] constexpr bool is_page_size(std::size_t bytes) {
  return is_power_of_two(bytes) && bytes >= 4096 && bytes <= kUnit;
}

/// The process's own pages.
class KernelPages {
 public:
  /// Maps `bytes` readable and writable, zeroed, without reserving swap, aligned at kUnit.
  /// \param bytes  a multiple of the page size.
  /// \param hint   where it should lie if that place is free, aligned at kUnit; 0 for no wish.
  /// \return the first byte; nullptr if the kernel refused (ENOMEM in whatever disguise).
  [[nodiscard]] void* map(std::size_t bytes, std::uintptr_t hint);
  /// Gives address space back. false: it stays mapped as it was.
  [[nodiscard]] bool unmap(void* start, std::size_t bytes);
  /// Replaces pages by ones without access and gives their memory back. One mapping afterwards.
  [[nodiscard]] bool withdraw(void* start, std::size_t bytes);
  /// Replaces whatever is there, or is not mapped any more, by fresh pages: readable and writable, zeroed.
  [[nodiscard]] bool renew(void* start, std::size_t bytes);
  /// Allows reading and writing (after withdraw or forbid).
  [[nodiscard]] bool permit(void* start, std::size_t bytes);
  /// Forbids access; contents stay.
  [[nodiscard]] bool forbid(void* start, std::size_t bytes);
  /// Gives the memory back; the pages read as zero afterwards.
  [[nodiscard]] bool discard(void* start, std::size_t bytes);
  /// Makes pages fault and gives their memory back, without a mapping of their own (Linux 6.13: MADV_GUARD_INSTALL).
  [[nodiscard]] bool guard_install(void* start, std::size_t bytes);
  [[nodiscard]] bool guard_remove(void* start, std::size_t bytes);
  /// How many bytes of these pages have memory; 0 if the kernel does not say. `bytes`: whole pages.
  [[nodiscard]] std::size_t resident_bytes(const void* start, std::size_t bytes);
  /// Moves pages to `target` (mapped, replaced), leaving `source` mapped and empty (Linux 5.7: MREMAP_DONTUNMAP). Only
  /// since 6.17 from several mappings. false: before 6.17 `target` may not be mapped any more.
  [[nodiscard]] bool move(void* source, std::size_t bytes, void* target);
};

/// The same contract for pages that are mapped once, readable and writable, and never change: what ends access is only
/// noted, and pages are emptied by writing zeroes over them. Then nearly nothing is asked of the kernel, which takes
/// most of a short life. Whoever acts on these pages asks is_open.
class PretendedPages {
 public:
  /// \param closed  a number for each unit from `region` on, zeroed, for the use of this object.
  void start(char* region, std::uint16_t* closed);
  [[nodiscard]] bool started() const { return closed_ != nullptr; }
  /// Makes the first `bytes` zero, and grants access to them.
  void reset(std::size_t bytes);
  [[nodiscard]] bool is_open(const void* at) const;

  bool withdraw(void* start, std::size_t bytes);
  [[nodiscard]] bool renew(void* start, std::size_t bytes);
  /// Contents do not outlive forbid.
  [[nodiscard]] bool permit(void* start, std::size_t bytes);
  bool forbid(void* start, std::size_t bytes) { return withdraw(start, bytes); }
  [[nodiscard]] bool discard(void* start, std::size_t bytes);
  bool guard_install(void* start, std::size_t bytes) { return withdraw(start, bytes); }
  [[nodiscard]] bool guard_remove(void* start, std::size_t bytes) { return permit(start, bytes); }
  /// As if only what is not zero had memory: what stayed from an earlier life must not be seen.
  [[nodiscard]] std::size_t resident_bytes(const void* start, std::size_t bytes);
  [[nodiscard]] bool move(void* source, std::size_t bytes, void* target);

 private:
  static constexpr std::size_t kGrain = 4096;
  static constexpr std::size_t kInUnit = kUnit / kGrain;
  static constexpr std::uint16_t kAllClosed = 0xFFFF;
  /// The machine's pages that are emptied by hand at most, and bytes of which it is asked which pages have memory.
  static constexpr std::size_t kMostEmptied = 1024;
  static constexpr std::size_t kMostLooked = 256 * kUnit;

  [[nodiscard]] std::size_t grain_of(const void* at) const {
    return static_cast<std::size_t>(static_cast<const char*>(at) - region_) / kGrain;
  }
  void set_open(void* start, std::size_t bytes, bool open);
  /// Where the run of grains from `at` that are as `open` says ends; at most at `end`.
  [[nodiscard]] char* end_of_run(char* at, const char* end, bool open) const;

  char* region_ = nullptr;
  std::uint16_t* closed_ = nullptr;  ///< of each unit, a bit for each grain without access
  KernelPages kernel_;
};

/// Pages out of one region that was reserved beforehand: what an instance runs on. Place follows from the calls alone.
class RegionPages {
 public:
  using FailHook = bool (*)(void* context, unsigned char call);

  /// \param region  `units` units, aligned at kUnit, readable and writable.
  /// \param map     `units` bits for the use of this object, zeroed, in whole words.
  /// \param closed  `units` numbers for the use of this object, zeroed, if access is pretended; nullptr if not.
  void start(char* region, std::size_t units, std::uint64_t* map, std::uint16_t* closed, FailHook hook, void* context);
  /// Forgets everything. \param units  at most as many as at the start. \return how many were in use since the last
  /// time.
  std::size_t reset(std::size_t units);

  [[nodiscard]] void* map(std::size_t bytes, std::uintptr_t hint);
  [[nodiscard]] bool unmap(void* start, std::size_t bytes);
  [[nodiscard]] bool withdraw(void* start, std::size_t bytes);
  [[nodiscard]] bool renew(void* start, std::size_t bytes);
  [[nodiscard]] bool permit(void* start, std::size_t bytes);
  [[nodiscard]] bool forbid(void* start, std::size_t bytes);
  [[nodiscard]] bool discard(void* start, std::size_t bytes);
  [[nodiscard]] bool guard_install(void* start, std::size_t bytes);
  [[nodiscard]] bool guard_remove(void* start, std::size_t bytes);
  [[nodiscard]] std::size_t resident_bytes(const void* start, std::size_t bytes);
  [[nodiscard]] bool move(void* source, std::size_t bytes, void* target);

  /// Whether an address of the region may be touched as far as is known here: always, if access is not pretended.
  [[nodiscard]] bool is_open(const void* at) const;

  [[nodiscard]] char* region() const { return region_; }

 private:
  /// Calls `call` with the pages that there are.
  template <class Call>
  auto ask(Call call) {
    return pretended_.started() ? call(pretended_) : call(kernel_);
  }
  [[nodiscard]] bool fails(unsigned char call) const;
  [[nodiscard]] bool is_used(std::size_t unit) const { return ((used_[unit / 64] >> (unit % 64)) & 1) != 0; }
  void set_used(std::size_t first, std::size_t count, bool used);

  char* region_ = nullptr;
  std::size_t units_ = 0;
  std::size_t high_water_ = 0;  ///< no unit from here on was ever used since the last reset
  std::uint64_t* used_ = nullptr;
  FailHook hook_ = nullptr;
  void* context_ = nullptr;
  KernelPages kernel_;
  PretendedPages pretended_;
};

/// The page size of this machine.
[[nodiscard]] std::size_t page_size();

/// Whether the kernel says no to an advice that it does not know. An emulator that takes any (qemu-user) and does
/// nothing would have us believe in guards that are not there.
[[nodiscard]] bool kernel_checks_advice();

/// An address near the upper end of those that the kernel gives out; 0 if it does not say.
[[nodiscard]] std::uintptr_t last_address();

}  // namespace stave
