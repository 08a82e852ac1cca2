// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What AddressSanitizer, MemorySanitizer, ThreadSanitizer, LeakSanitizer and valgrind are told. Called where memory
// crosses the border to the program and back, where headers are made, from the page mapping, and by the functions of
// stave.h's heaps: nowhere else. In ordinary builds every function is empty. With STAVE_SANITIZERS the core tells
// whichever of them it meets when it runs.
//
// The core is not instrumented then: it reads and writes what is closed to everybody else. Such memory it must not give
// to functions of the C library, at whose arguments sanitizers look.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(STAVE_SANITIZERS)
// Declared here, since no compiler has all of their headers. Weak: a program has one of these libraries at most.
extern "C" {
[[gnu::weak]] void __asan_poison_memory_region(const volatile void* start, std::size_t bytes);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* start, std::size_t bytes);
[[gnu::weak]] void __lsan_register_root_region(const void* start, std::size_t bytes);
[[gnu::weak]] void __lsan_unregister_root_region(const void* start, std::size_t bytes);
[[gnu::weak]] void __msan_allocated_memory(const volatile void* start, std::size_t bytes);
[[gnu::weak]] void* __msan_memcpy(void* to, const void* from, std::size_t bytes);
[[gnu::weak]] void __msan_poison(const volatile void* start, std::size_t bytes);
[[gnu::weak]] void __msan_unpoison(const volatile void* start, std::size_t bytes);
[[gnu::weak]] void __tsan_acquire(void* address);
[[gnu::weak]] void __tsan_release(void* address);
[[gnu::weak]] void __tsan_write8(void* address);
[[gnu::weak]] void __tsan_write_range(void* start, std::size_t bytes);
}
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define STAVE_VALGRIND(...) __VA_ARGS__
#else
#define STAVE_VALGRIND(...)
#endif
#endif

/// Of a function that reads words of a stack which nothing in sight wrote: MemorySanitizer takes them for initialized.
/// (This is for a core that is instrumented itself; to that one, kernel.hpp tells what the kernel wrote.)
#if defined(__clang__)
#define STAVE_READS_ANY_WORD [[clang::no_sanitize("memory")]]
#else
#define STAVE_READS_ANY_WORD
#endif

namespace stave::sanitizer {

#if defined(STAVE_SANITIZERS)
inline constexpr bool kActive = true;

/// Nobody's: each access is an error.
inline void close(const void* start, std::size_t bytes) {
  if (__asan_poison_memory_region != nullptr) __asan_poison_memory_region(start, bytes);
  if (__msan_poison != nullptr) __msan_poison(start, bytes);
  STAVE_VALGRIND(VALGRIND_MAKE_MEM_NOACCESS(start, bytes);)
}

/// The program's, to AddressSanitizer, which does not ask for contents.
inline void open(const void* start, std::size_t bytes) {
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(start, bytes);
}

/// The program's, and what stands there means something.
inline void mark_written(const void* start, std::size_t bytes) {
  open(start, bytes);
  if (__msan_unpoison != nullptr) __msan_unpoison(start, bytes);
  STAVE_VALGRIND(VALGRIND_MAKE_MEM_DEFINED(start, bytes);)
}

/// The program's, and what stands there means nothing.
inline void mark_unwritten(const void* start, std::size_t bytes) {
  open(start, bytes);
  if (__msan_allocated_memory != nullptr) __msan_allocated_memory(start, bytes);
  STAVE_VALGRIND(VALGRIND_MAKE_MEM_UNDEFINED(start, bytes);)
}

/// How many of the bytes, from the first one on, valgrind takes for the program's. (The others need not know: to
/// AddressSanitizer contents are nothing, and MemorySanitizer has its word on each byte, closed or not.)
inline std::size_t known_bytes(const void* start, std::size_t bytes) {
  std::uintptr_t closed = 0;
  STAVE_VALGRIND(closed = VALGRIND_CHECK_MEM_IS_ADDRESSABLE(start, bytes);)
  return closed == 0 ? bytes : closed - reinterpret_cast<std::uintptr_t>(start);
}

/// Whether the kernel may move pages: what MemorySanitizer knows of them would stay behind.
inline bool pages_may_move() { return __msan_poison == nullptr; }

/// A write by the caller, to ThreadSanitizer.
inline void mark_race(const void* start, std::size_t bytes) {
  if (__tsan_write_range != nullptr) __tsan_write_range(const_cast<void*>(start), bytes);
}

inline char g_kernel = 0;  // stands for it, to ThreadSanitizer

/// The kernel gives addresses to one after the other: what came before it got them back, comes before it gives them.
inline void take_from_kernel() {
  if (__tsan_acquire != nullptr) __tsan_acquire(&g_kernel);
}
inline void give_to_kernel() {
  if (__tsan_release != nullptr) __tsan_release(&g_kernel);
}
#else
inline constexpr bool kActive = false;
inline void close(const void*, std::size_t) {}
inline void open(const void*, std::size_t) {}
inline void mark_written(const void*, std::size_t) {}
inline void mark_unwritten(const void*, std::size_t) {}
inline std::size_t known_bytes(const void*, std::size_t bytes) { return bytes; }
inline bool pages_may_move() { return true; }
inline void mark_race(const void*, std::size_t) {}
inline void take_from_kernel() {}
inline void give_to_kernel() {}
#endif

/// A range was mapped.
inline void mark_mapped(const void* start, std::size_t bytes) {
  take_from_kernel();
  mark_written(start, bytes);
}
/// A range is about to be given back. Whoever maps it next must not inherit what was told of it.
inline void mark_unmapped(const void* start, std::size_t bytes) {
  mark_written(start, bytes);
  give_to_kernel();
}
/// Headers, records and what lies around them: nobody's but ours.
inline void mark_header(const void* start, std::size_t bytes) { close(start, bytes); }
/// Slots that nobody has been given yet.
inline void mark_vacant(const void* start, std::size_t bytes) { close(start, bytes); }
/// `requested` bytes are the program's from now on, without contents; the slack behind them is nobody's.
inline void mark_live(const void* slot, std::size_t requested, std::size_t slot_size) {
  mark_unwritten(slot, requested);
  close(static_cast<const char*>(slot) + requested, slot_size - requested);
}
/// The same of a slot that was the program's before: what it had keeps its contents.
inline void mark_resized(const void* slot, std::size_t requested, std::size_t slot_size) {
  const std::size_t kept = known_bytes(slot, requested);
  open(slot, requested);
  mark_live(static_cast<const char*>(slot) + kept, requested - kept, slot_size - kept);
}
/// The slot left the program's hands. Before anybody else may learn of it. Who uses it meanwhile races with the free.
inline void mark_free(const void* slot, std::size_t slot_size) {
  mark_race(slot, slot_size);
  close(slot, slot_size);
}

/// memset to zero of memory that is closed.
inline void zero_own(void* start, std::size_t bytes) {
  if constexpr (kActive) {
    auto* const words = static_cast<volatile unsigned char*>(start);
    for (std::size_t i = 0; i != bytes; ++i) words[i] = 0;
  } else {
    std::memset(start, 0, bytes);
  }
}
/// memcpy from or to memory that is closed. What is known of the contents goes with them.
inline void copy_own(void* to, const void* from, std::size_t bytes) {
#if defined(STAVE_SANITIZERS)
  if (__msan_memcpy != nullptr) {
    __msan_memcpy(to, from, bytes);
    return;
  }
#endif
  if constexpr (kActive) {
    auto* const target = static_cast<volatile unsigned char*>(to);
    const auto* const source = static_cast<const unsigned char*>(from);
    for (std::size_t i = 0; i != bytes; ++i) target[i] = source[i];
  } else {
    std::memcpy(to, from, bytes);
  }
}

// --- by the functions of stave.h's heaps ---

#if defined(STAVE_SANITIZERS)
/// So many bytes behind each allocation are nobody's: where its canary lies.
inline constexpr unsigned kRedzone = 8;

/// A heap was made, whose allocations lie in `region`. LeakSanitizer looks for pointers there.
inline void heap_made(void* heap, const void* region, std::size_t bytes) {
  if (__lsan_register_root_region != nullptr) __lsan_register_root_region(region, bytes);
  STAVE_VALGRIND(VALGRIND_CREATE_MEMPOOL(heap, kRedzone, 0);)
  (void)heap;
}
/// It goes, and all its allocations with it.
inline void heap_goes(void* heap, const void* region, std::size_t bytes) {
  STAVE_VALGRIND(VALGRIND_DESTROY_MEMPOOL(heap);)
  if (__lsan_unregister_root_region != nullptr) __lsan_unregister_root_region(region, bytes);
  if (__tsan_write8 != nullptr) __tsan_write8(heap);
}

/// A call of a heap while it lives. Two at a time race, since a heap serves one thread at a time. Valgrind, which looks
/// at the core as well, says nothing meanwhile.
class Inside {
 public:
  explicit Inside(const void* heap) {
    if (__tsan_write8 != nullptr) __tsan_write8(const_cast<void*>(heap));
    STAVE_VALGRIND(VALGRIND_DISABLE_ERROR_REPORTING;)
  }
  ~Inside() { STAVE_VALGRIND(VALGRIND_ENABLE_ERROR_REPORTING;) }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
};

/// To valgrind, a heap is a pool. Of what leaves it unduly valgrind speaks, unless Inside.
inline void* enter_pool(void* heap, void* pointer, std::size_t bytes) {
  STAVE_VALGRIND(if (pointer != nullptr) VALGRIND_MEMPOOL_ALLOC(heap, pointer, bytes);)
  (void)heap, (void)bytes;
  return pointer;
}
inline void leave_pool(void* heap, void* pointer) {
  STAVE_VALGRIND(if (pointer != nullptr) VALGRIND_MEMPOOL_FREE(heap, pointer);)
  (void)heap, (void)pointer;
}
inline void resize_in_pool(void* heap, void* pointer, void* now, std::size_t bytes) {
  STAVE_VALGRIND(VALGRIND_MEMPOOL_CHANGE(heap, pointer, now, bytes);)
  (void)heap, (void)pointer, (void)now, (void)bytes;
}
#else
inline void heap_made(void*, const void*, std::size_t) {}
inline void heap_goes(void*, const void*, std::size_t) {}
struct Inside {
  explicit Inside(const void*) {}
};
inline void* enter_pool(void*, void* pointer, std::size_t) { return pointer; }
inline void leave_pool(void*, void*) {}
inline void resize_in_pool(void*, void*, void*, std::size_t) {}
#endif

}  // namespace stave::sanitizer
