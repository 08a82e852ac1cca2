// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For ThreadSanitizer.
#include <atomic>
#include <mutex>
#include <thread>

#include "props/sanitizers/case.hpp"

namespace {

std::mutex g_mutex;

/// Two threads at once.
template <class Body>
void at_once(Body body) {
  std::thread other([&] { body(1); });
  body(0);
  other.join();
}

/// Two threads, of which one acts after the other: by the clock alone, since nothing orders them. (Of two accesses at
/// the very same moment ThreadSanitizer may see neither.)
template <class Body>
void one_after_the_other(Body body) {
  std::atomic<int> turn{0};
  at_once([&](int thread) {
    while (turn.load(std::memory_order_relaxed) != thread) std::this_thread::yield();
    body(thread);
    turn.store(1, std::memory_order_relaxed);
  });
}

void race_on_block(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 24);
  one_after_the_other([=](int) {
    std::unique_lock lock(g_mutex, std::defer_lock);
    if (!wrong) lock.lock();
    write_byte(block);
  });
}

/// A heap serves one thread at a time.
void heap_of_two(stave_heap* heap, bool wrong) {
  one_after_the_other([=](int) {
    std::unique_lock lock(g_mutex, std::defer_lock);
    if (!wrong) lock.lock();
    stave_heap_free(heap, fresh(heap, 24));
  });
}

void free_during_use(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 24);
  one_after_the_other([=](int thread) {
    std::unique_lock lock(g_mutex, std::defer_lock);
    if (!wrong) lock.lock();
    if (thread == 0) write_byte(block + 3);
    if (thread == 1) stave_heap_free(heap, block);
  });
}

/// What one thread frees, another one gets and writes, and frees again.
void handed_over(stave_heap* heap, bool wrong) {
  static char* shelf[64];
  static volatile int shared = 0;
  at_once([=](int thread) {
    for (int i = 0; i != 4000; ++i) {
      if (wrong) shared = shared + 1;
      const std::scoped_lock lock(g_mutex);
      char*& place = shelf[(i * 7 + thread) % 64];
      stave_heap_free(heap, place);
      const std::size_t bytes = i % 100 == 0 ? 100000 : static_cast<std::size_t>(1 + i % 60);
      place = fresh(heap, bytes);
      std::memset(place, 'a', bytes);
      if (i % 3 == 0) place = static_cast<char*>(stave_heap_realloc(heap, place, 2 * bytes));
    }
  });
}

/// The kernel gives the addresses of a heap that is gone to the next one, which another thread makes.
void one_heap_after_another(stave_heap*, bool wrong) {
  static volatile int shared = 0;
  one_after_the_other([=](int) {
    if (wrong) shared = shared + 1;
    stave_heap* const heap = make_heap(nullptr);
    for (std::size_t i = 0; i != 200; ++i) std::memset(fresh(heap, 100), 'a', 100);
    stave_heap_destroy(heap);
  });
}

#define RACE "ThreadSanitizer: data race"

constexpr Case kCases[] = {
    {"race_on_block", RACE "[^$]*Write of size 1", race_on_block},
    {"heap_of_two", RACE "[^$]*Write of size 8", heap_of_two},
    {"free_during_use", RACE, free_during_use},
    {"handed_over", RACE, handed_over},
    {"one_heap_after_another", RACE, one_heap_after_another},
};

}  // namespace

int main(int argc, char** argv) { return run_case(kCases, argc, argv); }
