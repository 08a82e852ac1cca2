// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "props/buddy.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

namespace stave::props {

Buddy::Buddy(const HeapSetup& setup)
    : ReferenceRegion(setup.region_bytes),
      begins_(setup.region_bytes >> kSmallestOrder),
      top_(static_cast<unsigned>(std::bit_width(setup.region_bytes)) - 1) {
  reset(setup);
}

void Buddy::reset(const HeapSetup&) {
  // Beyond the extent only free blocks begin: their lists lead to all of them, without a walk over the whole map.
  for (auto& list : free_) {
    for (const std::size_t offset : list) begins(offset) = kInside;
    list.clear();
  }
  std::fill_n(begins_.begin(), extent_ >> kSmallestOrder, std::uint8_t{kInside});
  discard(0, (extent_ + 4095) / 4096 * 4096);
  free_[top_].insert(0);
  begin(0, kFree, top_);
  counts_ = {};
  extent_ = 0;
}

char* Buddy::take(std::size_t alignment, std::size_t size) {
  const std::size_t whole = std::size_t{1} << top_;
  if (size > whole || alignment > whole || failures().should_fail(0)) {
    errno = ENOMEM;
    return nullptr;
  }
  alignment = std::max<std::size_t>(alignment, 16);
  // The address stands kHeader or a multiple of the alignment behind the block's start; blocks are aligned to their
  // own size relative to the region, whose start is only aligned to a page.
  const std::size_t needed = (alignment <= kHeader ? kHeader : alignment + kHeader) + std::max<std::size_t>(size, 1);
  const unsigned order = std::max(static_cast<unsigned>(std::bit_width(needed - 1)), kSmallestOrder);
  unsigned found = order;
  while (found <= top_ && free_[found].empty()) ++found;
  if (found > top_) {
    errno = ENOMEM;
    return nullptr;
  }
  const std::size_t offset = *free_[found].begin();
  free_[found].erase(free_[found].begin());
  while (found > order) {
    --found;
    const std::size_t buddy = offset + (std::size_t{1} << found);
    free_[found].insert(buddy);
    begin(buddy, kFree, found);
  }
  begin(offset, kLive, order);
  extent_ = std::max(extent_, offset + (std::size_t{1} << order));
  const auto base = reinterpret_cast<std::uintptr_t>(region());
  const std::uintptr_t aligned = (base + offset + kHeader + alignment - 1) / alignment * alignment;
  char* const address = region() + (aligned - base);
  const Header header{offset, order};
  std::memcpy(address - kHeader, &header, sizeof header);
  ++counts_.live_allocations;
  counts_.live_bytes += usable_of(header, address);
  return address;
}

std::size_t Buddy::usable_of(const Header& header, const void* pointer) const {
  const auto at = static_cast<std::size_t>(static_cast<const char*>(pointer) - region());
  return header.offset + (std::size_t{1} << header.order) - at;
}

Buddy::Header Buddy::resolve(const void* pointer, const char* if_freed) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  const auto base = reinterpret_cast<std::uintptr_t>(region());
  if (address - base >= region_bytes()) escape().leave("foreign-pointer", "outside of the region", pointer);
  if (address % 8 != 0) escape().leave("misaligned-pointer", "not a multiple of 8", pointer);
  // The block that holds the address is the last one that begins at or before it.
  const std::size_t at = address - base;
  std::size_t start = at >> kSmallestOrder << kSmallestOrder;
  while (begins(start) == kInside) start -= std::size_t{1} << kSmallestOrder;
  if ((begins(start) & kFree) != 0) escape().leave(if_freed, "in a free block", pointer);
  Header header{};
  std::memcpy(&header, static_cast<const char*>(pointer) - kHeader, sizeof header);
  if (at < kHeader || header.offset != start || header.order < kSmallestOrder || header.order > top_) {
    escape().leave("interior-pointer", "no header before it", pointer);
  }
  return header;
}

void* Buddy::allocate(unsigned, std::size_t size) { return take(16, size); }

void* Buddy::allocate_zeroed(unsigned, std::size_t count, std::size_t size) {
  std::size_t product = 0;
  if (__builtin_mul_overflow(count, size, &product)) {
    errno = ENOMEM;
    return nullptr;
  }
  char* const address = take(16, product);
  if (address != nullptr) std::memset(address, 0, product);
  return address;
}

void* Buddy::allocate_aligned(unsigned, std::size_t alignment, std::size_t size) {
  if (!std::has_single_bit(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  return take(alignment, size);
}

void* Buddy::reallocate(unsigned thread, void* pointer, std::size_t size) {
  if (pointer == nullptr) return allocate(thread, size);
  const std::size_t usable = usable_of(resolve(pointer, "freed-pointer"), pointer);
  if (size == 0) {
    deallocate(thread, pointer);
    return nullptr;
  }
  if (size <= usable && size > usable / 2) return pointer;
  void* const moved = allocate(thread, size);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, pointer, std::min(usable, size));
  deallocate(thread, pointer);
  return moved;
}

void Buddy::deallocate(unsigned, void* pointer) {
  if (pointer == nullptr) return;
  const Header header = resolve(pointer, "double-free");
  --counts_.live_allocations;
  counts_.live_bytes -= usable_of(header, pointer);
  std::size_t offset = header.offset;
  unsigned order = static_cast<unsigned>(header.order);
  begins(offset) = kInside;
  while (order < top_) {
    const std::size_t buddy = offset ^ (std::size_t{1} << order);
    if (free_[order].erase(buddy) == 0) break;
    begins(buddy) = kInside;
    offset = std::min(offset, buddy);
    ++order;
  }
  free_[order].insert(offset);
  begin(offset, kFree, order);
}

std::size_t Buddy::usable_size(unsigned, const void* pointer) {
  return pointer == nullptr ? 0 : usable_of(resolve(pointer, "freed-pointer"), pointer);
}

bool Buddy::trim(unsigned) {
  bool any = false;
  for (unsigned order = kSmallestOrder; order <= top_; ++order) {
    for (const std::size_t offset : free_[order]) {
      any = true;
      discard(offset, std::min(offset + (std::size_t{1} << order), (extent_ + 4095) / 4096 * 4096));
    }
  }
  return any;
}

std::size_t Buddy::block_bytes(const void* pointer) const {
  Header header{};
  std::memcpy(&header, static_cast<const char*>(pointer) - kHeader, sizeof header);
  return std::size_t{1} << header.order;
}

Violation Buddy::verify() const {
  // Walks the region from block to block; what begins where must agree with the lists, and no two free buddies remain.
  std::size_t listed = 0;
  for (unsigned order = kSmallestOrder; order <= top_; ++order) {
    for (const std::size_t offset : free_[order]) {
      ++listed;
      if (begins(offset) != (kFree | order)) return {"a listed block begins where it says", region() + offset};
      if (order < top_ && free_[order].contains(offset ^ (std::size_t{1} << order))) {
        return {"free buddies are merged", region() + offset};
      }
    }
  }
  std::size_t walked_free = 0;
  std::size_t walked_live = 0;
  for (std::size_t offset = 0; offset < std::size_t{1} << top_;) {
    const std::uint8_t kind = begins(offset);
    if (kind == kInside) return {"a block begins where one ends", region() + offset};
    walked_free += (kind & kFree) != 0 ? 1 : 0;
    walked_live += (kind & kLive) != 0 ? 1 : 0;
    offset += std::size_t{1} << (kind & kOrderMask);
  }
  if (walked_live != counts_.live_allocations) return {"live blocks are counted", nullptr};
  if (walked_free != listed) return {"free blocks are listed", nullptr};
  return {};
}

}  // namespace stave::props
