// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For MemorySanitizer, and for valgrind: bytes that mean nothing.
#include <initializer_list>

#include "props/sanitizers/case.hpp"

namespace {

constexpr std::size_t kLarge = 1000001;  // in pages of its own

template <std::size_t kBytes>
void fresh_read(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, kBytes);
  if (!wrong) std::memset(block, 'a', kBytes);
  use_byte(block + kBytes - 1);
}

void calloc_read(stave_heap* heap, bool wrong) {
  for (const std::size_t bytes : {std::size_t{21}, std::size_t{20000}, kLarge}) {
    const auto* const block = static_cast<char*>(stave_heap_calloc(heap, 1, bytes));
    for (std::size_t i = 0; i < bytes; i += 20) use_byte(block + i);
  }
  use_byte(static_cast<char*>(wrong ? stave_heap_malloc(heap, 1) : stave_heap_calloc(heap, 1, 1)));
}

/// What was written stays so, and what was not.
template <std::size_t kBefore, std::size_t kNow>
void resized(stave_heap* heap, bool wrong) {
  char* block = fresh(heap, kBefore);
  std::memset(block, 'a', kBefore / 2);
  block = opaque(static_cast<char*>(stave_heap_realloc(heap, block, kNow)));
  const std::size_t written = kBefore / 2 < kNow ? kBefore / 2 : kNow;
  for (std::size_t i = 0; i != written; ++i) use_byte(block + i);
  if (wrong) use_byte(block + kBefore / 2);
}

/// What realloc added is as fresh as what malloc gives.
template <std::size_t kBefore, std::size_t kNow>
void added(stave_heap* heap, bool wrong) {
  auto* block = opaque(static_cast<char*>(stave_heap_calloc(heap, 1, kBefore)));
  block = opaque(static_cast<char*>(stave_heap_realloc(heap, block, kNow)));
  use_byte(block + kBefore - 1);
  if (!wrong) std::memset(block + kBefore, 'a', kNow - kBefore);
  use_byte(block + kBefore);
  use_byte(block + kNow - 1);
}

/// What another allocation left in the slot means nothing.
void read_where_another_was(stave_heap* heap, bool wrong) {
  for (int i = 0; i != 2000; ++i) {
    char* const block = fresh(heap, 24);
    if (!wrong || i != 1999) std::memset(block, 'a', 24);
    use_byte(block + 5);
    stave_heap_free(heap, block);
  }
}

void use_after_free(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 24);
  std::memset(block, 'a', 24);
  if (wrong) stave_heap_free(heap, block);
  use_byte(block + 5);
}

/// What Stave writes for the program is written.
void answers(stave_heap* heap, bool wrong) {
  stave_statistics statistics;
  if (!wrong) stave_heap_get_statistics(heap, &statistics);
  if (opaque(&statistics)->chunks == 12345) std::puts("x");
}

#define UNWRITTEN "use-of-uninitialized-value|depends on uninitialised value"

constexpr Case kCases[] = {
    {"fresh_read", UNWRITTEN, fresh_read<20>},
    {"fresh_read_long", UNWRITTEN, fresh_read<20000>},
    {"fresh_read_large", UNWRITTEN, fresh_read<kLarge>},
    {"calloc_read", UNWRITTEN, calloc_read},
    {"resized_shrunk", UNWRITTEN, resized<100, 85>},
    {"resized_moved", UNWRITTEN, resized<100, 5000>},
    {"resized_large", UNWRITTEN, resized<kLarge, 3 * kLarge>},
    {"added_in_slot", UNWRITTEN, added<100, 103>},
    {"added_moved", UNWRITTEN, added<100, 5000>},
    {"added_in_page", UNWRITTEN, added<kLarge, kLarge + 10>},
    {"added_large", UNWRITTEN, added<kLarge, 3 * kLarge>},
    {"read_where_another_was", UNWRITTEN, read_where_another_was},
    {"use_after_free", UNWRITTEN "|Invalid read", use_after_free},
    {"answers", UNWRITTEN, answers},
};

}  // namespace

int main(int argc, char** argv) { return run_case(kCases, argc, argv); }
