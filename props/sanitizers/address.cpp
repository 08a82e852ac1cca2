// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For AddressSanitizer.
#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include <cstdint>

#include "props/sanitizers/case.hpp"

namespace {

constexpr std::size_t kLarge = 1000001;  // in pages of its own

/// All that was asked for may be used, and not a byte more or less.
void fill(char* start, std::size_t bytes) { std::memset(opaque(start), 'x', bytes); }

template <std::size_t kBytes>
void overflow(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, kBytes);
  fill(block, kBytes);
  write_byte(block + kBytes - (wrong ? 0 : 1));
}

template <std::size_t kBytes>
void overread(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, kBytes);
  read_byte(block + kBytes - (wrong ? 0 : 1));
}

template <std::size_t kBytes>
void underflow(stave_heap* heap, bool wrong) {
  char* const before = fresh(heap, kBytes);
  char* const block = fresh(heap, kBytes);
  fill(before, kBytes);
  write_byte(block - (wrong ? 1 : 0));
}

void copied_too_far(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 13);
  std::memcpy(block, opaque("123456789012345"), wrong ? 14 : 13);
}

void string_too_long(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 13);
  std::strcpy(block, opaque(wrong ? "1234567890123" : "123456789012"));
}

template <std::size_t kBytes>
void use_after_free(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, kBytes);
  fill(block, kBytes);
  if (wrong) stave_heap_free(heap, block);
  read_byte(block + kBytes / 2);
}

/// The second one gets the slots of the first one again, with another size.
void overflow_where_another_was(stave_heap* heap, bool wrong) {
  for (std::size_t i = 0; i != 4000; ++i) {
    const std::size_t bytes = 1 + i * i % 47;
    char* const block = fresh(heap, bytes);
    fill(block, bytes);
    if (wrong && i == 3999) write_byte(block + bytes);
    stave_heap_free(heap, block);
  }
}

template <std::size_t kBefore, std::size_t kNow>
void overflow_of_resized(stave_heap* heap, bool wrong) {
  char* block = fresh(heap, kBefore);
  fill(block, kBefore);
  block = opaque(static_cast<char*>(stave_heap_realloc(heap, block, kNow)));
  fill(block, kNow);
  if (wrong) write_byte(block + kNow);
}

void moved_by_realloc(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 40);
  char* const now = static_cast<char*>(stave_heap_realloc(heap, block, 4000));
  read_byte(wrong ? block : now);
}

void overflow_of_calloc(stave_heap* heap, bool wrong) {
  auto* const block = opaque(static_cast<char*>(stave_heap_calloc(heap, 3, 7)));
  for (std::size_t i = 0; i != 21; ++i) {
    if (block[i] != 0) std::abort();
  }
  write_byte(block + (wrong ? 21 : 20));
}

void overflow_of_aligned(stave_heap* heap, bool wrong) {
  auto* const block = opaque(static_cast<char*>(stave_heap_aligned_alloc(heap, 256, 100)));
  fill(block, 100);
  write_byte(block + (wrong ? 100 : 99));
}

void overflow_of_usable(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 70);
  const std::size_t usable = stave_heap_usable_size(heap, block);
  fill(block, usable);
  if (wrong) write_byte(block + usable);
}

void nothing_used(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 0);
  if (wrong) write_byte(block);
  stave_heap_free(heap, block);
}

/// The addresses of a heap that is gone are as any others to whoever maps them next.
void destroyed(stave_heap*, bool wrong) {
  stave_heap* const heap = make_heap(nullptr);
  char* const block = fresh(heap, 100);
  stave_heap_free(heap, fresh(heap, 100));
  stave_heap_destroy(heap);
  if (wrong) return write_byte(block);
  char* const first = block - reinterpret_cast<std::uintptr_t>(block) % kUnit;
  if (mmap(first, kUnit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != first) {
    std::abort();
  }
  fill(first, kUnit);
}

void own_callback(stave_heap* heap, bool wrong) {
  __asan_set_error_report_callback([](const char*) {
    std::fputs("the program's own\n", stderr);
    stave_explain_address(__asan_get_report_address());
  });
  overflow<5>(heap, wrong);
}

#define BEHIND(bytes, places) \
  "use-after-poison[^$]*state live\\), " places " bytes behind the allocation of " bytes " bytes"

constexpr Case kCases[] = {
    {"overflow_by_one", BEHIND("13", "0"), overflow<13>},
    {"overflow_of_full_slot", BEHIND("64", "0"), overflow<64>},
    {"overflow_of_long_slot", BEHIND("20001", "0"), overflow<20001>},
    {"overflow_of_large",
     "use-after-poison[^$]*large block[^$]*state live\\), 0 bytes behind the allocation of 1000001 bytes",
     overflow<kLarge>},
    {"overread_by_one", BEHIND("13", "0"), overread<13>},
    {"overread_of_large", "use-after-poison", overread<kLarge>},
    {"underflow_by_one", "use-after-poison[^$]*size class", underflow<24>},
    {"underflow_of_large", "use-after-poison|SEGV", underflow<kLarge>},
    {"copied_too_far", "use-after-poison", copied_too_far},
    {"string_too_long", "use-after-poison", string_too_long},
    {"use_after_free", "use-after-poison[^$]*size class 32, slot \\d+, state (held|free)\\)", use_after_free<20>},
    {"use_after_free_long", "use-after-poison[^$]*state (held|free)\\)", use_after_free<20000>},
    {"use_after_free_large", "use-after-poison[^$]*large block[^$]*state held\\)", use_after_free<kLarge>},
    {"overflow_where_another_was", BEHIND("\\d+", "0"), overflow_where_another_was},
    {"overflow_of_shrunk", BEHIND("85", "0"), overflow_of_resized<100, 85>},
    {"overflow_of_shrunk_by_one", BEHIND("99", "0"), overflow_of_resized<100, 99>},
    {"overflow_of_grown", BEHIND("103", "0"), overflow_of_resized<100, 103>},
    {"overflow_of_moved", BEHIND("5003", "0"), overflow_of_resized<100, 5003>},
    {"overflow_of_shrunk_large", BEHIND("900000", "0"), overflow_of_resized<kLarge, 900000>},
    {"overflow_of_grown_large", BEHIND("3000000", "0"), overflow_of_resized<kLarge, 3000000>},
    {"moved_by_realloc", "use-after-poison[^$]*state (held|free)\\)", moved_by_realloc},
    {"overflow_of_calloc", BEHIND("21", "0"), overflow_of_calloc},
    {"overflow_of_aligned", BEHIND("100", "0"), overflow_of_aligned},
    {"overflow_of_usable", BEHIND("\\d+", "0"), overflow_of_usable},
    {"nothing_used", "use-after-poison", nothing_used},
    {"header", "use-after-poison[^$]*stave: 0x\\w+ of heap 0x\\w+ \\(chunk", header},
    {"freed_twice", "stave: double-free", freed_twice},
    {"destroyed", "SEGV", destroyed},
    {"own_callback", "the program's own\\sstave: 0x\\w+ of heap .*0 bytes behind the allocation of 5 bytes",
     own_callback},
};

}  // namespace

int main(int argc, char** argv) { return run_case(kCases, argc, argv); }
