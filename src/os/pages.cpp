// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/pages.hpp"

#include <sys/auxv.h>
#include <sys/mman.h>

#include <cstring>

#include "base/bits.hpp"
#include "base/zeros.hpp"
#include "os/kernel.hpp"
#include "os/sanitizer.hpp"

namespace stave {
namespace {

// Linux 6.13; the headers of older distributions do not know them.
constexpr long kMadvGuardInstall = 102;
constexpr long kMadvGuardRemove = 103;
constexpr long kMremapDontUnmap = 4;

long kernel_map(std::uintptr_t where, std::size_t bytes, int protection, int flags) {
  return kernel::call(SYS_mmap, static_cast<long>(where), static_cast<long>(bytes), protection,
                      flags | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

bool succeeded(long answer) { return answer >= 0 || answer < -4095; }

bool kernel_unmap(std::uintptr_t start, std::size_t bytes) {
  return kernel::call(SYS_munmap, static_cast<long>(start), static_cast<long>(bytes)) == 0;
}

bool advise(void* start, std::size_t bytes, long advice) {
  return kernel::call(SYS_madvise, kernel::as_word(start), static_cast<long>(bytes), advice) == 0;
}

bool protect(void* start, std::size_t bytes, int protection) {
  return kernel::call(SYS_mprotect, kernel::as_word(start), static_cast<long>(bytes), protection) == 0;
}

/// Calls `visit` with each page of whole pages that has memory. false: the kernel does not say which.
template <class Visit>
bool for_each_resident(char* start, std::size_t bytes, std::size_t page, Visit&& visit) {
  unsigned char resident[512] = {};
  for (std::size_t at = 0; at < bytes; at += sizeof resident * page) {
    const std::size_t part = bytes - at < sizeof resident * page ? bytes - at : sizeof resident * page;
    const long answer =
        kernel::call(SYS_mincore, kernel::as_word(start + at), static_cast<long>(part), kernel::as_word(resident));
    if (answer != 0) return false;
    for (std::size_t i = 0; i != part / page; ++i) {
      if ((resident[i] & 1U) != 0) visit(start + at + i * page);
    }
  }
  return true;
}

enum : unsigned char { kMap, kUnmap, kProtect, kDiscard, kGuardInstall, kGuardRemove, kRemap };  // as SysCall

}  // namespace

std::size_t page_size() { return getauxval(AT_PAGESZ); }

bool kernel_checks_advice() {
  constexpr long kNoAdvice = 0x7fff'ffff;
  return !advise(nullptr, 0, kNoAdvice);
}

// These bytes lie above the first stack, and that above all else.
std::uintptr_t last_address() { return getauxval(AT_RANDOM); }

void* KernelPages::map(std::size_t bytes, std::uintptr_t hint) {
  long answer = kernel_map(hint, bytes, PROT_READ | PROT_WRITE, 0);
  if (!succeeded(answer)) return nullptr;
  auto start = static_cast<std::uintptr_t>(answer);
  if (start % kUnit != 0) {
    // Map more than needed and give the rest back. If the kernel does not take it, it is only address space.
    (void)kernel_unmap(start, bytes);
    const std::size_t more = bytes + kUnit;
    answer = kernel_map(0, more, PROT_READ | PROT_WRITE, 0);
    if (!succeeded(answer)) return nullptr;
    const auto wide = static_cast<std::uintptr_t>(answer);
    start = align_up(wide, kUnit);
    if (start != wide) (void)kernel_unmap(wide, start - wide);
    if (start + bytes != wide + more) (void)kernel_unmap(start + bytes, wide + more - (start + bytes));
  }
  auto* const first = reinterpret_cast<void*>(start);
  sanitizer::mark_mapped(first, bytes);
  return first;
}

bool KernelPages::unmap(void* start, std::size_t bytes) {
  sanitizer::mark_unmapped(start, bytes);
  return kernel_unmap(address_of(start), bytes);
}

bool KernelPages::withdraw(void* start, std::size_t bytes) {
  return succeeded(kernel_map(address_of(start), bytes, PROT_NONE, MAP_FIXED));
}

bool KernelPages::renew(void* start, std::size_t bytes) {
  return succeeded(kernel_map(address_of(start), bytes, PROT_READ | PROT_WRITE, MAP_FIXED));
}

bool KernelPages::permit(void* start, std::size_t bytes) { return protect(start, bytes, PROT_READ | PROT_WRITE); }
bool KernelPages::forbid(void* start, std::size_t bytes) { return protect(start, bytes, PROT_NONE); }
bool KernelPages::discard(void* start, std::size_t bytes) { return advise(start, bytes, MADV_DONTNEED); }
bool KernelPages::guard_install(void* start, std::size_t bytes) { return advise(start, bytes, kMadvGuardInstall); }
bool KernelPages::guard_remove(void* start, std::size_t bytes) { return advise(start, bytes, kMadvGuardRemove); }

std::size_t KernelPages::resident_bytes(const void* start, std::size_t bytes) {
  const std::size_t page = page_size();
  std::size_t count = 0;
  const bool said =
      for_each_resident(const_cast<char*>(static_cast<const char*>(start)), bytes, page, [&](char*) { ++count; });
  return said ? count * page : 0;
}

bool KernelPages::move(void* source, std::size_t bytes, void* target) {
  if (!sanitizer::pages_may_move()) return false;
  const long answer =
      kernel::call(SYS_mremap, kernel::as_word(source), static_cast<long>(bytes), static_cast<long>(bytes),
                   MREMAP_MAYMOVE | MREMAP_FIXED | kMremapDontUnmap, kernel::as_word(target));
  return succeeded(answer);
}

void PretendedPages::start(char* region, std::uint16_t* closed) {
  region_ = region;
  closed_ = closed;
}

void PretendedPages::reset(std::size_t bytes) {
  std::memset(closed_, 0, bytes / kUnit * sizeof *closed_);
  if (!discard(region_, bytes)) __builtin_trap();
}

bool PretendedPages::is_open(const void* at) const {
  const std::size_t grain = grain_of(at);
  return ((closed_[grain / kInUnit] >> (grain % kInUnit)) & 1U) == 0;
}

void PretendedPages::set_open(void* start, std::size_t bytes, bool open) {
  const std::size_t end = grain_of(start) + bytes / kGrain;
  for (std::size_t grain = grain_of(start); grain != end;) {
    const std::size_t in_unit = grain % kInUnit;
    const std::size_t count = kInUnit - in_unit < end - grain ? kInUnit - in_unit : end - grain;
    const unsigned bits = ((1U << count) - 1) << in_unit;
    std::uint16_t& closed = closed_[grain / kInUnit];
    closed = static_cast<std::uint16_t>(open ? closed & ~bits : closed | bits);
    grain += count;
  }
}

char* PretendedPages::end_of_run(char* at, const char* end, bool open) const {
  while (at != end && is_open(at) == open) {
    const std::size_t grain = grain_of(at);
    const bool is_whole_unit = grain % kInUnit == 0 && static_cast<std::size_t>(end - at) >= kUnit &&
                               closed_[grain / kInUnit] == (open ? 0 : kAllClosed);
    at += is_whole_unit ? kUnit : kGrain;
  }
  return at;
}

// What is closed is emptied when it is opened again, which most of it never is.
bool PretendedPages::withdraw(void* start, std::size_t bytes) {
  set_open(start, bytes, false);
  return true;
}

bool PretendedPages::permit(void* start, std::size_t bytes) {
  char* const end = static_cast<char*>(start) + bytes;
  for (char* from = end_of_run(static_cast<char*>(start), end, true); from != end;) {
    char* const to = end_of_run(from, end, false);
    const auto length = static_cast<std::size_t>(to - from);
    if (!discard(from, length)) return false;
    set_open(from, length, true);
    from = end_of_run(to, end, true);
  }
  return true;
}

bool PretendedPages::renew(void* start, std::size_t bytes) { return withdraw(start, bytes) && permit(start, bytes); }

bool PretendedPages::discard(void* start, std::size_t bytes) {
  // What a sanitizer knows to be closed must not be written.
  if constexpr (sanitizer::kActive) return kernel_.discard(start, bytes);
  const std::size_t page = page_size();
  const Vectors vectors = vectors_here();
  const std::size_t looked_at = bytes < kMostLooked ? bytes : kMostLooked;
  char* const end = static_cast<char*>(start) + bytes;
  char* rest = static_cast<char*>(start) + looked_at;
  std::size_t count = 0;
  const bool is_known = for_each_resident(static_cast<char*>(start), looked_at, page, [&](char* at) {
    if (count++ == kMostEmptied) rest = at;
    // A page that was only read is all pages' page of zeroes, as long as nothing is written to it.
    if (count <= kMostEmptied && !is_zero(at, page, vectors)) std::memset(at, 0, page);
  });
  if (!is_known) rest = static_cast<char*>(start);
  return rest == end || kernel_.discard(rest, static_cast<std::size_t>(end - rest));
}

std::size_t PretendedPages::resident_bytes(const void* start, std::size_t bytes) {
  const std::size_t page = page_size();
  const Vectors vectors = vectors_here();
  std::size_t resident = 0;
  (void)for_each_resident(const_cast<char*>(static_cast<const char*>(start)), bytes, page, [&](char* at) {
    if (is_open(at) && (sanitizer::kActive || !is_zero(at, page, vectors))) resident += page;
  });
  return resident;
}

bool PretendedPages::move(void* source, std::size_t bytes, void* target) {
  if (!sanitizer::pages_may_move() || !renew(target, bytes)) return false;
  const std::size_t page = page_size();
  const Vectors vectors = vectors_here();
  const bool is_known = for_each_resident(static_cast<char*>(source), bytes, page, [&](char* at) {
    if (!sanitizer::kActive && is_zero(at, page, vectors)) return;
    sanitizer::copy_own(static_cast<char*>(target) + (at - static_cast<char*>(source)), at, page);
  });
  return is_known && discard(source, bytes);
}

void RegionPages::start(char* region, std::size_t units, std::uint64_t* map, std::uint16_t* closed, FailHook hook,
                        void* context) {
  region_ = region;
  units_ = units;
  used_ = map;
  hook_ = hook;
  context_ = context;
  high_water_ = 0;
  pretended_.start(region, closed);
  if (closed == nullptr) (void)kernel_.withdraw(region, units * kUnit);
}

std::size_t RegionPages::reset(std::size_t units) {
  const std::size_t dirtied = high_water_;
  const std::size_t bytes = dirtied * kUnit;
  std::memset(used_, 0, align_up(dirtied, 64) / 8);
  units_ = units;
  high_water_ = 0;
  if (bytes == 0) return 0;
  if (pretended_.started()) {
    pretended_.reset(bytes);
    sanitizer::mark_vacant(region_, bytes);
  } else {
    sanitizer::mark_unmapped(region_, bytes);
    // A fresh mapping in place costs one call, whatever guards and protections lie in the range.
    if (!kernel_.withdraw(region_, bytes)) __builtin_trap();
  }
  return dirtied;
}

bool RegionPages::is_open(const void* at) const {
  const std::size_t unit = static_cast<std::size_t>(static_cast<const char*>(at) - region_) / kUnit;
  return !pretended_.started() || unit >= units_ || (is_used(unit) && pretended_.is_open(at));
}

bool RegionPages::fails(unsigned char call) const { return hook_ != nullptr && hook_(context_, call); }

void RegionPages::set_used(std::size_t first, std::size_t count, bool used) {
  for (std::size_t unit = first; unit != first + count; ++unit) {
    const std::uint64_t bit = std::uint64_t{1} << (unit % 64);
    used_[unit / 64] = used ? used_[unit / 64] | bit : used_[unit / 64] & ~bit;
  }
}

void* RegionPages::map(std::size_t bytes, std::uintptr_t hint) {
  (void)hint;  // place must follow from the calls alone
  if (fails(kMap)) return nullptr;
  const std::size_t count = align_up(bytes, kUnit) / kUnit;
  if (bytes == 0 || count > units_) return nullptr;
  std::size_t run = 0;
  for (std::size_t unit = 0; unit != units_; ++unit) {
    run = is_used(unit) ? 0 : run + 1;
    if (run != count) continue;
    const std::size_t first = unit + 1 - count;
    char* const start = region_ + first * kUnit;
    const bool is_fresh = pretended_.started() && first >= high_water_;
    if (!is_fresh && !ask([&](auto& pages) { return pages.permit(start, count * kUnit); })) return nullptr;
    set_used(first, count, true);
    if (unit >= high_water_) high_water_ = unit + 1;
    sanitizer::mark_mapped(start, count * kUnit);
    return start;
  }
  return nullptr;
}

bool RegionPages::unmap(void* start, std::size_t bytes) {
  const std::size_t whole = align_up(bytes, kUnit);
  if (fails(kUnmap) || !ask([&](auto& pages) { return pages.withdraw(start, whole); })) return false;
  sanitizer::mark_vacant(start, whole);
  set_used(static_cast<std::size_t>(static_cast<char*>(start) - region_) / kUnit, whole / kUnit, false);
  return true;
}

bool RegionPages::withdraw(void* start, std::size_t bytes) {
  return !fails(kMap) && ask([&](auto& pages) { return pages.withdraw(start, bytes); });
}
bool RegionPages::renew(void* start, std::size_t bytes) {
  return !fails(kMap) && ask([&](auto& pages) { return pages.renew(start, bytes); });
}
bool RegionPages::permit(void* start, std::size_t bytes) {
  return !fails(kProtect) && ask([&](auto& pages) { return pages.permit(start, bytes); });
}
bool RegionPages::forbid(void* start, std::size_t bytes) {
  return !fails(kProtect) && ask([&](auto& pages) { return pages.forbid(start, bytes); });
}
bool RegionPages::discard(void* start, std::size_t bytes) {
  return !fails(kDiscard) && ask([&](auto& pages) { return pages.discard(start, bytes); });
}
bool RegionPages::guard_install(void* start, std::size_t bytes) {
  return !fails(kGuardInstall) && ask([&](auto& pages) { return pages.guard_install(start, bytes); });
}
bool RegionPages::guard_remove(void* start, std::size_t bytes) {
  return !fails(kGuardRemove) && ask([&](auto& pages) { return pages.guard_remove(start, bytes); });
}
std::size_t RegionPages::resident_bytes(const void* start, std::size_t bytes) {
  return ask([&](auto& pages) { return pages.resident_bytes(start, bytes); });
}
bool RegionPages::move(void* source, std::size_t bytes, void* target) {
  return !fails(kRemap) && ask([&](auto& pages) { return pages.move(source, bytes, target); });
}

}  // namespace stave
