// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C family: argument checks, errno, nothing else. Semantics are those that the GNU C library documents.
//
// A program may define malloc, calloc, realloc and free itself, and no more; what is there besides must serve its
// pointers, as the C library's does. Thus reallocarray, free_sized and their like call these by symbol (STAVE_EXPORT).
#include <malloc.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>

#include "base/attributes.hpp"
#include "heap/fast_path.hpp"
#include "heap/process.hpp"
#include "os/kernel.hpp"
#include "os/log.hpp"

namespace stave {
namespace {

/// The heap of this thread, which must exist: for calls that are not on the fast path. nullptr if memory is out.
ThreadHeap& started_heap() {
  if (!process_is_started()) (void)process_heap_slow();
  return thread_heap();
}

void* or_no_memory(void* pointer) {
  if (pointer == nullptr) [[unlikely]]
    errno = ENOMEM;
  return pointer;
}

void* allocate_aligned(std::size_t alignment, std::size_t size) {
  STAVE_KEEP_FRAME();
  return or_no_memory(g_process.allocate_aligned(started_heap(), alignment, size));
}

/// As glibc: an alignment that is not a power of two is rounded up to the next, and a size need not be a multiple.
void* allocate_rounded(std::size_t alignment, std::size_t size) {
  if (alignment > SIZE_MAX / 2 + 1) {
    errno = EINVAL;
    return nullptr;
  }
  return allocate_aligned(std::bit_ceil(alignment), size);
}

/// Everything that malloc's fast path does not serve.
STAVE_SLOW void* malloc_slow(std::size_t size) {
  STAVE_KEEP_FRAME();
  return or_no_memory(g_process.allocate_slow(thread_heap(), size));
}

/// The same of calloc.
STAVE_SLOW void* calloc_slow(std::size_t count, std::size_t size) {
  STAVE_KEEP_FRAME();
  return or_no_memory(g_process.allocate_zeroed(thread_heap(), count, size));
}

/// What malloc_info and its kin tell. What is free are slots that have memory and hold nothing.
struct Told {
  Stats stats;
  Resident resident;
  std::uint64_t slots_bytes = 0;  ///< live, in chunks
  std::uint64_t free_bytes = 0;
  std::uint64_t system_bytes = 0;  ///< what the kernel counts as this process's, as far as it is ours
};

Told tell() {
  Told told;
  if (!process_is_started()) return told;
  const ArenaLocked<ProcessStorage> locked(g_process.arena, g_process.constants);
  told.stats = g_process.stats();
  told.resident = g_process.resident();
  told.slots_bytes = told.stats.live_bytes - told.stats.large_bytes - told.stats.sample_bytes;
  const std::uint64_t chunks = told.resident.chunks_bytes;
  told.free_bytes = chunks > told.slots_bytes ? chunks - told.slots_bytes : 0;
  told.system_bytes = chunks + told.resident.large_bytes + told.resident.sample_bytes;
  return told;
}

}  // namespace
}  // namespace stave

using stave::g_process;
using stave::thread_heap;

// Ours, wherever the symbol leads.
extern "C" [[gnu::alias("free"), gnu::visibility("hidden")]] void stave_free(void* pointer) noexcept;

namespace {

/// free, with what the caller says of the allocation.
STAVE_SLOW void free_as(void* pointer, const stave::Claim& claim) {
  if (stave::found(&free) != &stave_free) return free(pointer);
  stave::deallocate(g_process, thread_heap(), pointer, claim);
}

}  // namespace

extern "C" {

STAVE_EXPORT void* malloc(std::size_t size) {
  if (void* const slot = stave::allocate_fast(stave::g_process.constants.contents, thread_heap(), size)) [[likely]]
    return slot;
  return stave::malloc_slow(size);
}

/// Keeps errno on every path: none of them goes through the C library.
STAVE_EXPORT void free(void* pointer) { stave::deallocate(g_process, thread_heap(), pointer); }

STAVE_EXPORT void* calloc(std::size_t count, std::size_t size) {
  std::size_t bytes = 0;
  if (stave::multiply(count, size, &bytes)) [[likely]] {
    if (void* const slot = stave::allocate_fast(stave::g_process.constants.contents, thread_heap(), bytes)) [[likely]]
      return g_process.make_zero(slot, bytes);
  }
  return stave::calloc_slow(count, size);
}

STAVE_EXPORT void* realloc(void* pointer, std::size_t size) {
  STAVE_KEEP_FRAME();
  if (pointer == nullptr) return stave::or_no_memory(stave::allocate(g_process, thread_heap(), size));
  if (size == 0) {
    stave::deallocate(g_process, thread_heap(), pointer);
    return nullptr;
  }
  return stave::or_no_memory(g_process.reallocate(thread_heap(), pointer, size));
}

STAVE_EXPORT void* reallocarray(void* pointer, std::size_t count, std::size_t size) {
  std::size_t bytes = 0;
  if (!stave::multiply(count, size, &bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  return realloc(pointer, bytes);
}

STAVE_EXPORT void* memalign(std::size_t alignment, std::size_t size) {
  return stave::allocate_rounded(alignment, size);
}

STAVE_EXPORT void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return stave::allocate_rounded(alignment, size);
}

STAVE_EXPORT int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  if (alignment % sizeof(void*) != 0 || !stave::is_power_of_two(alignment)) return EINVAL;
  STAVE_KEEP_FRAME();
  const int saved = errno;
  void* const memory = stave::allocate_aligned(alignment, size);
  errno = saved;
  if (memory == nullptr) return ENOMEM;
  *result = memory;
  return 0;
}

STAVE_EXPORT void* valloc(std::size_t size) { return stave::allocate_aligned(stave::page_size(), size); }

STAVE_EXPORT void* pvalloc(std::size_t size) {
  const std::size_t page = stave::page_size();
  if (size > SIZE_MAX - page) {
    errno = ENOMEM;
    return nullptr;
  }
  return stave::allocate_aligned(page, size == 0 ? page : stave::align_up(size, page));
}

STAVE_EXPORT void cfree(void* pointer) { free(pointer); }

STAVE_EXPORT void free_sized(void* pointer, std::size_t size) { free_as(pointer, {.size = size}); }
STAVE_EXPORT void free_aligned_sized(void* pointer, std::size_t alignment, std::size_t size) {
  free_as(pointer, {.size = size, .alignment_log2 = stave::log2_floor(alignment | 1)});
}

STAVE_EXPORT std::size_t malloc_usable_size(void* pointer) {
  return pointer == nullptr ? 0 : g_process.usable_size(pointer, stave::Fault::freed_pointer);
}

STAVE_EXPORT int malloc_trim(std::size_t) {
  if (!stave::process_is_started()) return 0;
  stave::ThreadHeap& heap = thread_heap();
  return g_process.trim(&heap) ? 1 : 0;
}

/// No parameter of glibc's has a meaning here: accepted, as programs expect, and without effect.
STAVE_EXPORT int mallopt(int, int) { return 1; }

STAVE_EXPORT struct mallinfo2 mallinfo2(void) {
  const stave::Told told = stave::tell();
  struct mallinfo2 info {};
  info.arena = told.resident.chunks_bytes;
  info.ordblks = told.stats.chunks;
  info.hblks = told.stats.large_blocks + told.stats.samples;
  info.hblkhd = told.stats.large_bytes + told.stats.sample_bytes;
  info.uordblks = told.slots_bytes;
  info.fordblks = told.free_bytes;
  return info;
}

STAVE_EXPORT struct mallinfo mallinfo(void) {
  const struct mallinfo2 wide = mallinfo2();
  const auto clipped = [](std::size_t value) { return value > INT_MAX ? INT_MAX : static_cast<int>(value); };
  struct mallinfo info {};
  info.arena = clipped(wide.arena);
  info.ordblks = clipped(wide.ordblks);
  info.hblks = clipped(wide.hblks);
  info.hblkhd = clipped(wide.hblkhd);
  info.uordblks = clipped(wide.uordblks);
  info.fordblks = clipped(wide.fordblks);
  return info;
}

STAVE_EXPORT int malloc_info(int options, FILE* stream) {
  if (options != 0) {
    errno = EINVAL;
    return -1;
  }
  const stave::Told told = stave::tell();
  const stave::Stats& stats = told.stats;
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  // The last elements are glibc's, for programs that look for them.
  const int written = std::fprintf(stream,
                                   "<malloc version=\"1\">\n"
                                   "<stave version=\"1\">\n"
                                   "<allocations live=\"%llu\" bytes=\"%llu\" served=\"%llu\"/>\n"
                                   "<slots held=\"%llu\"/>\n"
                                   "<chunks used=\"%llu\" vacant=\"%llu\"/>\n"
                                   "<heaps count=\"%llu\"/>\n"
                                   "<guards installed=\"%llu\" skipped=\"%llu\"/>\n"
                                   "</stave>\n"
                                   "<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
                                   "<total type=\"rest\" count=\"%llu\" size=\"%llu\"/>\n"
                                   "<total type=\"mmap\" count=\"%llu\" size=\"%llu\"/>\n"
                                   "<system type=\"current\" size=\"%llu\"/>\n"
                                   "<aspace type=\"total\" size=\"%llu\"/>\n"
                                   "</malloc>\n",
                                   number(stats.live_allocations), number(stats.live_bytes), number(stats.calls_served),
                                   number(stats.held_slots), number(stats.chunks), number(stats.vacant_chunks),
                                   number(stats.heaps), number(stats.guards_installed), number(stats.guards_skipped),
                                   number(stats.chunks), number(told.free_bytes), number(stats.large_blocks),
                                   number(stats.large_bytes), number(told.system_bytes), number(stats.mapped_bytes));
  return written < 0 ? -1 : 0;
}

STAVE_EXPORT void malloc_stats(void) {
  const stave::Told told = stave::tell();
  char storage[512];
  stave::TextBuffer out(storage, sizeof storage);
  out.text("system bytes     = ").decimal(told.system_bytes);
  out.text("\nin use bytes     = ").decimal(told.stats.live_bytes);
  out.text("\nallocations      = ").decimal(told.stats.live_allocations).text("\n");
  stave::kernel::write_all(2, out.data(), out.size());
}

}  // extern "C"
