// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For LeakSanitizer, alone and in AddressSanitizer, and for valgrind: memory of malloc to which there is no pointer but
// in a heap. What a heap itself holds is no leak to LeakSanitizer.
#include "props/sanitizers/case.hpp"

namespace {

/// Where a pointer may be that no tool must find elsewhere: nothing of it stays on the stack or in a register.
[[gnu::noinline]] void keep_in(void* place) {
  auto* const secret = static_cast<char*>(std::malloc(77));
  std::memcpy(place, &secret, sizeof secret);
}

[[gnu::noinline]] void wipe_stack() {
  volatile char room[4096] = {};
  (void)opaque(room[0]);
}

template <std::size_t kBytes>
void in_a_block(stave_heap* heap, bool wrong) {
  static void** block;
  block = reinterpret_cast<void**>(fresh(heap, kBytes));
  std::memset(static_cast<void*>(block), 0, kBytes);
  keep_in(block);
  if (wrong) *block = nullptr;
  wipe_stack();
}

void in_a_moved_block(stave_heap* heap, bool wrong) {
  static void** block;
  block = static_cast<void**>(stave_heap_calloc(heap, 1, 40));
  keep_in(block);
  block = static_cast<void**>(stave_heap_realloc(heap, block, 300000));
  std::memset(static_cast<void*>(block + 5), 0, 300000 - 40);
  if (wrong) *block = nullptr;
  wipe_stack();
}

void in_a_freed_block(stave_heap* heap, bool wrong) {
  static char* block;
  block = fresh(heap, 40);
  keep_in(block);
  if (wrong) stave_heap_free(heap, block);
  wipe_stack();
}

void in_a_heap_that_goes(stave_heap*, bool wrong) {
  static stave_heap* heap;
  static void** block;
  heap = make_heap(nullptr);
  block = static_cast<void**>(stave_heap_calloc(heap, 1, 40));
  keep_in(block);
  if (!wrong) std::free(*block);
  stave_heap_destroy(heap);
  wipe_stack();
}

#define LEAK "77 byte\\(s\\) leaked|77 bytes in 1 blocks are definitely lost"

constexpr Case kCases[] = {
    {"in_a_block", LEAK, in_a_block<40>, true},
    {"in_a_large_block", LEAK, in_a_block<300000>, true},
    {"in_a_moved_block", LEAK, in_a_moved_block, true},
    {"in_a_freed_block", LEAK, in_a_freed_block, true},
    {"in_a_heap_that_goes", LEAK, in_a_heap_that_goes, true},
};

}  // namespace

int main(int argc, char** argv) { return run_case(kCases, argc, argv); }
