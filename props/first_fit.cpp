// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "props/first_fit.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace stave::props {
namespace {

constexpr std::size_t kGrain = 16;

constexpr std::size_t round_up(std::size_t n, std::size_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

}  // namespace

FirstFit::FirstFit(const HeapSetup& setup) : ReferenceRegion(setup.region_bytes) { reset(setup); }

void FirstFit::reset(const HeapSetup&) {
  live_.clear();
  free_.clear();
  discard(0, round_up(extent_, 4096));
  free_[0] = region_bytes();
  extent_ = 0;
}

char* FirstFit::take(std::size_t alignment, std::size_t size) {
  if (size > region_bytes() || alignment > region_bytes() || failures().should_fail(0)) {
    errno = ENOMEM;
    return nullptr;
  }
  const std::size_t usable = std::max(round_up(size, kGrain), kGrain);
  const std::uintptr_t base = reinterpret_cast<std::uintptr_t>(region());
  for (auto piece = free_.begin(); piece != free_.end(); ++piece) {
    const auto [start, bytes] = *piece;
    const std::size_t at = round_up(base + start + kHeader, std::max(alignment, kGrain)) - base;
    const std::size_t end = at + usable;
    if (end > start + bytes) continue;
    // What alignment skipped stays free; the header sits right before the address.
    const std::size_t block_start = at - kHeader;
    free_.erase(piece);
    if (block_start != start) free_[start] = block_start - start;
    if (end != start + bytes) free_[end] = start + bytes - end;
    live_[at] = Block{block_start, end - block_start, usable};
    extent_ = std::max(extent_, end);
    return region() + at;
  }
  errno = ENOMEM;
  return nullptr;
}

void FirstFit::give_back(std::size_t start, std::size_t bytes) {
  const auto next = free_.lower_bound(start);
  if (next != free_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first + previous->second == start) {
      start = previous->first;
      bytes += previous->second;
      free_.erase(previous);
    }
  }
  if (next != free_.end() && next->first == start + bytes) {
    bytes += next->second;
    free_.erase(next);
  }
  free_[start] = bytes;
}

std::map<std::size_t, FirstFit::Block>::iterator FirstFit::resolve(const void* pointer, const char* if_freed) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  const auto base = reinterpret_cast<std::uintptr_t>(region());
  if (address - base >= region_bytes()) escape().leave("foreign-pointer", "outside of the region", pointer);
  const auto found = live_.find(address - base);
  if (found != live_.end()) return found;
  if (address % 8 != 0) escape().leave("misaligned-pointer", "not a multiple of 8", pointer);
  const auto above = live_.upper_bound(address - base);
  if (above != live_.begin() && std::prev(above)->first + std::prev(above)->second.usable > address - base) {
    escape().leave("interior-pointer", "inside a block", pointer);
  }
  escape().leave(if_freed, "no live block", pointer);
}

void* FirstFit::allocate(unsigned, std::size_t size) { return take(kGrain, size); }

void* FirstFit::allocate_zeroed(unsigned, std::size_t count, std::size_t size) {
  std::size_t product = 0;
  if (__builtin_mul_overflow(count, size, &product)) {
    errno = ENOMEM;
    return nullptr;
  }
  char* const address = take(kGrain, product);
  if (address != nullptr) std::memset(address, 0, product);
  return address;
}

void* FirstFit::allocate_aligned(unsigned, std::size_t alignment, std::size_t size) {
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
    errno = EINVAL;
    return nullptr;
  }
  return take(alignment, size);
}

void* FirstFit::reallocate(unsigned thread, void* pointer, std::size_t size) {
  if (pointer == nullptr) return allocate(thread, size);
  const auto old = resolve(pointer, "freed-pointer");
  if (size == 0) {
    deallocate(thread, pointer);
    return nullptr;
  }
  void* const moved = allocate(thread, size);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, pointer, std::min(old->second.usable, size));
  deallocate(thread, pointer);
  return moved;
}

void FirstFit::deallocate(unsigned, void* pointer) {
  if (pointer == nullptr) return;
  const auto found = resolve(pointer, "double-free");
  const Block block = found->second;
  live_.erase(found);
  give_back(block.start, block.bytes);
}

std::size_t FirstFit::usable_size(unsigned, const void* pointer) {
  return pointer == nullptr ? 0 : resolve(pointer, "freed-pointer")->second.usable;
}

bool FirstFit::trim(unsigned) {
  for (const auto& [start, bytes] : free_) discard(start, std::min(start + bytes, round_up(extent_, 4096)));
  return !free_.empty();
}

std::size_t FirstFit::block_bytes(const void* pointer) const {
  const auto found = live_.find(static_cast<std::size_t>(static_cast<const char*>(pointer) - region()));
  return found == live_.end() ? 0 : found->second.bytes;
}

HeapCounts FirstFit::counts() const {
  HeapCounts counts;
  for (const auto& [at, block] : live_) {
    ++counts.live_allocations;
    counts.live_bytes += block.usable;
  }
  return counts;
}

Violation FirstFit::verify() const {
  // Free pieces and blocks, sorted by address, must cover the region without gap or overlap, and no two free pieces
  // touch.
  std::size_t at = 0;
  bool after_free = false;
  auto piece = free_.begin();
  auto block = live_.begin();
  while (at != region_bytes()) {
    if (piece != free_.end() && piece->first == at) {
      if (after_free) return {"free neighbours are merged", region() + at};
      at += piece++->second;
      after_free = true;
    } else if (block != live_.end() && block->second.start == at) {
      at += block++->second.bytes;
      after_free = false;
    } else {
      return {"free pieces and blocks cover the region", region() + at};
    }
  }
  return {};
}

}  // namespace stave::props
