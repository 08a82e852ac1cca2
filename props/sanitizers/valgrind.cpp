// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For valgrind, which also runs what memory.cpp and leak.cpp have.
#include <initializer_list>

#include "props/sanitizers/case.hpp"

namespace {

void overflow(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 13);
  std::memset(block, 'a', 13);
  write_byte(block + (wrong ? 13 : 12));
}

void overflow_of_resized(stave_heap* heap, bool wrong) {
  char* block = fresh(heap, 100);
  for (const std::size_t bytes : {std::size_t{103}, std::size_t{90}, std::size_t{95}, std::size_t{6000}}) {
    block = opaque(static_cast<char*>(stave_heap_realloc(heap, block, bytes)));
    std::memset(block, 'a', bytes);
  }
  read_byte(block + (wrong ? 6000 : 5999));
}

void use_after_free(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 20);
  if (wrong) stave_heap_free(heap, block);
  write_byte(block + 7);
}

void usable(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 70);
  const std::size_t bytes = stave_heap_usable_size(heap, block);
  std::memset(block, 'a', bytes);
  if (wrong) write_byte(block + bytes);
}

/// Valgrind looks for lost blocks of pools only while there is one of malloc's.
void keep_one_of_malloc() {
  static void* block;
  if (*opaque(&block) == nullptr) block = std::malloc(1);
}

void lost(stave_heap* heap, bool wrong) {
  keep_one_of_malloc();
  static char* block;
  block = fresh(heap, 55);
  if (wrong) *opaque(&block) = nullptr;
}

/// What a heap holds goes with it.
void lost_with_its_heap(stave_heap* other, bool wrong) {
  keep_one_of_malloc();
  stave_heap* const heap = make_heap(nullptr);
  (void)fresh(wrong ? other : heap, 55);
  stave_heap_destroy(heap);
}

constexpr Case kCases[] = {
    {"overflow", "Invalid write of size 1[^$]*is 0 bytes after a block of size 13 (client-defined|alloc'd)", overflow},
    {"overflow_of_resized", "Invalid read of size 1[^$]*is 0 bytes after a block of size 6,000", overflow_of_resized},
    {"use_after_free", "Invalid write of size 1[^$]*is 7 bytes inside a block of size 20 free'd[^$]*stave_heap_free",
     use_after_free},
    {"usable", "Invalid write of size 1", usable},
    {"header", "Invalid write of size 1", header},
    {"freed_twice", "Invalid free\\(\\)[^$]*stave: double-free", freed_twice},
    {"lost", "55 bytes in 1 blocks are definitely lost", lost, true},
    {"lost_with_its_heap", "55 bytes in 1 blocks are definitely lost", lost_with_its_heap, true},
};

}  // namespace

int main(int argc, char** argv) { return run_case(kCases, argc, argv); }
