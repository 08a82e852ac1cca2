// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// give_back <MiB>: threads use so much in blocks of mixed sizes, and free it: each its own; each its neighbour's; or
// they end, and another frees it all. At most a tenth of the peak may stay resident after malloc_trim, of which each
// thread that lives takes notice when it next looks for memory.
#include <pthread.h>

#include <vector>

#include "conformance.hpp"

namespace {

using conformance::opaque;

constexpr int kThreads = 4;

enum class Freed { by_owner, by_neighbour, after_end };

size_t g_bytes_each;
Freed g_freed;
std::vector<void*> g_blocks[kThreads];
pthread_barrier_t g_turn;

void all_are_here() { pthread_barrier_wait(&g_turn); }

size_t some_size(size_t i) {
  if (i % 500 == 0) return 300000 + i % 2000000;
  if (i % 50 == 0) return 5000 + i * 31 % 60000;
  return 1 + i * 7919 % 1500;
}

void free_all(std::vector<void*>& blocks) {
  for (void* const block : blocks) free(block);
  std::vector<void*>().swap(blocks);
}

void* work(void* number) {
  const auto own = reinterpret_cast<uintptr_t>(number);
  std::vector<void*>& blocks = g_blocks[own];
  size_t bytes = 0;
  for (size_t i = own; bytes < g_bytes_each; ++i) {
    const size_t size = some_size(i);
    blocks.push_back(opaque(malloc(size)));
    REQUIRE(blocks.back() != nullptr);
    memset(blocks.back(), 1, size);
    bytes += size;
  }
  all_are_here();  // the peak
  all_are_here();
  if (g_freed == Freed::after_end) return nullptr;
  free_all(g_blocks[g_freed == Freed::by_owner ? own : (own + 1) % kThreads]);
  all_are_here();  // all is free
  all_are_here();  // main has called malloc_trim
  for (int i = 0; i != 200; ++i) free(opaque(malloc(64)));
  void* some[200];
  for (void*& block : some) block = opaque(malloc(64));
  for (void* const block : some) free(block);
  all_are_here();
  all_are_here();  // counted
  return nullptr;
}

void run(Freed freed, const char* what) {
  g_freed = freed;
  pthread_t threads[kThreads];
  for (uintptr_t i = 0; i != kThreads; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, &work, reinterpret_cast<void*>(i)) == 0);
  }
  all_are_here();
  const size_t peak = conformance::resident_bytes();
  all_are_here();
  if (freed != Freed::after_end) {
    all_are_here();
  } else {
    for (const pthread_t thread : threads) pthread_join(thread, nullptr);
    for (auto& blocks : g_blocks) free_all(blocks);
  }
  const size_t free = conformance::resident_bytes();
  (void)malloc_trim(0);
  if (freed != Freed::after_end) all_are_here(), all_are_here();
  const size_t left = conformance::resident_bytes();
  printf("%s: %zu MiB at the peak, %zu freed, %zu after malloc_trim\n", what, peak >> 20, free >> 20, left >> 20);
  fflush(stdout);
  REQUIRE(peak >= g_bytes_each * kThreads);
  REQUIRE(left <= peak / 10);
  if (freed == Freed::after_end) return;
  all_are_here();
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  conformance::begin();
  g_bytes_each = (static_cast<size_t>(argc > 1 ? atoi(argv[1]) : 128) << 20) / kThreads;
  pthread_barrier_init(&g_turn, nullptr, kThreads + 1);
  run(Freed::by_owner, "freed by its owner");
  run(Freed::by_neighbour, "freed by a neighbour");
  run(Freed::after_end, "freed after its owner's end");
  return 0;
}
