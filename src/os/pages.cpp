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

void RegionPages::start(char* region, std::size_t units, std::uint64_t* map, FailHook hook, void* context) {
  region_ = region;
  units_ = units;
  used_ = map;
  hook_ = hook;
  context_ = context;
  high_water_ = 0;
  open_ = 0;
  (void)kernel_.withdraw(region, units * kUnit);
}

std::size_t RegionPages::reset(OnReset what) {
  const std::size_t dirtied = high_water_;
  const std::size_t used = open_ > dirtied ? open_ : dirtied;
  const bool kept = what == OnReset::clear && used <= kMostKept && reopen(used);
  if (!kept && used != 0) {
    sanitizer::mark_unmapped(region_, used * kUnit);
    // A fresh mapping in place costs one call, whatever guards and protections lie in the range.
    if (!kernel_.withdraw(region_, used * kUnit)) __builtin_trap();
  }
  open_ = kept ? used : 0;
  std::memset(used_, 0, align_up(dirtied, 64) / 8);
  high_water_ = 0;
  guarded_ = false;
  closed_ = false;
  return dirtied;
}

/// Brings the first units, all that were used, to the state after map. false: they may be in any state.
bool RegionPages::reopen(std::size_t units) {
  const std::size_t bytes = units * kUnit;
  if (bytes == 0) return true;
  if (guarded_ && !kernel_.guard_remove(region_, bytes)) return false;
  if ((closed_ || units > open_) && !kernel_.permit(region_, bytes)) return false;
  sanitizer::mark_mapped(region_, bytes);
  const std::size_t page = page_size();
  const Vectors vectors = vectors_here();
  std::size_t count = 0;
  const bool said = for_each_resident(region_, bytes, page, [&](char* start) {
    // A page that was only read is all pages' page of zeroes, as long as nothing is written to it.
    if (count++ < kMostCleared && !is_zero(start, page, vectors)) std::memset(start, 0, page);
  });
  if ((!said || count > kMostCleared) && !kernel_.discard(region_, bytes)) return false;
  sanitizer::mark_vacant(region_, bytes);
  return true;
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
    if (unit >= open_ && !kernel_.permit(start, count * kUnit)) return nullptr;
    set_used(first, count, true);
    if (unit >= high_water_) high_water_ = unit + 1;
    sanitizer::mark_mapped(start, count * kUnit);
    return start;
  }
  return nullptr;
}

bool RegionPages::unmap(void* start, std::size_t bytes) {
  if (fails(kUnmap) || !kernel_.withdraw(start, align_up(bytes, kUnit))) return false;
  sanitizer::mark_vacant(start, align_up(bytes, kUnit));
  const std::size_t first = static_cast<std::size_t>(static_cast<char*>(start) - region_) / kUnit;
  set_used(first, align_up(bytes, kUnit) / kUnit, false);
  if (first < open_) open_ = first;
  return true;
}

bool RegionPages::withdraw(void* start, std::size_t bytes) {
  closed_ = true;
  return !fails(kMap) && kernel_.withdraw(start, bytes);
}
bool RegionPages::renew(void* start, std::size_t bytes) { return !fails(kMap) && kernel_.renew(start, bytes); }
bool RegionPages::permit(void* start, std::size_t bytes) { return !fails(kProtect) && kernel_.permit(start, bytes); }
bool RegionPages::forbid(void* start, std::size_t bytes) {
  closed_ = true;
  return !fails(kProtect) && kernel_.forbid(start, bytes);
}
bool RegionPages::discard(void* start, std::size_t bytes) { return !fails(kDiscard) && kernel_.discard(start, bytes); }
bool RegionPages::guard_install(void* start, std::size_t bytes) {
  guarded_ = true;
  return !fails(kGuardInstall) && kernel_.guard_install(start, bytes);
}
bool RegionPages::guard_remove(void* start, std::size_t bytes) {
  return !fails(kGuardRemove) && kernel_.guard_remove(start, bytes);
}
std::size_t RegionPages::resident_bytes(const void* start, std::size_t bytes) {
  return kernel_.resident_bytes(start, bytes);
}
bool RegionPages::move(void* source, std::size_t bytes, void* target) {
  return !fails(kRemap) && kernel_.move(source, bytes, target);
}

}  // namespace stave
