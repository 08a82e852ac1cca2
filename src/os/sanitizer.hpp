// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the sanitizers are told. Called from the two border crossings hand_out and take_back, from the place where
// headers are made, and from the page mapping: nowhere else. In ordinary builds every function is empty.
//
// Our own code reads and writes poisoned headers: the core is compiled without ASan's checks (its callers with).
#pragma once

#include <cstddef>
#include <cstring>

#if defined(STAVE_ASAN)
#include <sanitizer/asan_interface.h>
#endif
#if defined(STAVE_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

/// Of a function that reads words of a stack which nothing in sight wrote: MemorySanitizer takes them for initialized.
/// (It has no other business here: kernel.hpp tells it what the kernel wrote.)
#if defined(__clang__)
#define STAVE_READS_ANY_WORD [[clang::no_sanitize("memory")]]
#else
#define STAVE_READS_ANY_WORD
#endif

namespace stave::sanitizer {

#if defined(STAVE_ASAN)
inline constexpr bool kActive = true;
inline void poison(const void* start, std::size_t bytes) { __asan_poison_memory_region(start, bytes); }
inline void unpoison(const void* start, std::size_t bytes) { __asan_unpoison_memory_region(start, bytes); }
#else
inline constexpr bool kActive = false;
inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
#endif

/// A range was mapped, or is about to be given back. Reused addresses keep stale poison otherwise.
inline void mark_mapped(const void* start, std::size_t bytes) { unpoison(start, bytes); }
/// A header page: nobody's but ours.
inline void mark_header(const void* start, std::size_t bytes) { poison(start, bytes); }
/// Slots that nobody has been given yet.
inline void mark_vacant(const void* start, std::size_t bytes) { poison(start, bytes); }
/// `requested` bytes are the program's, the slack behind them is nobody's.
inline void mark_live(const void* slot, std::size_t requested, std::size_t slot_size) {
  unpoison(slot, requested);
  if (requested != slot_size) {
    const std::size_t whole = (requested + 7) & ~std::size_t{7};  // a granule's tail cannot be poisoned alone
    if (whole < slot_size) poison(static_cast<const char*>(slot) + whole, slot_size - whole);
  }
}
/// memset to zero of our own poisoned memory, which ASan's interceptor of memset would report.
inline void zero_own(void* start, std::size_t bytes) {
  if constexpr (kActive) {
    auto* const words = static_cast<volatile unsigned char*>(start);
    for (std::size_t i = 0; i != bytes; ++i) words[i] = 0;
  } else {
    std::memset(start, 0, bytes);
  }
}
/// memcpy into our own poisoned memory, likewise.
inline void copy_own(void* to, const void* from, std::size_t bytes) {
  if constexpr (kActive) {
    auto* const target = static_cast<volatile unsigned char*>(to);
    const auto* const source = static_cast<const unsigned char*>(from);
    for (std::size_t i = 0; i != bytes; ++i) target[i] = source[i];
  } else {
    std::memcpy(to, from, bytes);
  }
}
/// The slot left the program's hands. Before anybody else may learn of it.
inline void mark_free(const void* slot, std::size_t slot_size) { poison(slot, slot_size); }

}  // namespace stave::sanitizer
