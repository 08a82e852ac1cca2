// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Allocation benchmarks, for any allocator that is preloaded. Each has a fixed amount of work, so that its peak memory
// can be compared as well. Run by ci/bench, which interleaves the allocators.
#include <benchmark/benchmark.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace {

/// A generator of our own: the same requests for every allocator, on any C++ library, at a few cycles.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2654435769U + 88172645463325252U) {}
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  uint64_t below(uint64_t limit) { return next() % limit; }

 private:
  uint64_t state_;
};

/// What programs ask for, roughly: three in four up to 128 bytes, nearly all below 2 KiB, the rest up to 64 KiB.
size_t mixed_size(Random& random) {
  const uint64_t kind = random.below(1000);
  if (kind < 750) return 8 + random.below(120);
  if (kind < 960) return 128 + random.below(896);
  if (kind < 995) return 1024 + random.below(7 * 1024);
  return 8192 + random.below(56 * 1024);
}

/// The program uses what it gets: its first and last byte.
char* touched(void* pointer, size_t size) {
  auto* const bytes = static_cast<char*>(pointer);
  bytes[0] = 1;
  bytes[size - 1] = 1;
  benchmark::DoNotOptimize(bytes);
  return bytes;
}

char* allocate(size_t size) { return touched(malloc(size), size); }

void BM_pair(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    char* pointer = allocate(size);
    free(pointer);
  }
}
BENCHMARK(BM_pair)->Arg(16)->Arg(64)->Arg(256)->Arg(1024)->Arg(4096)->Iterations(8'000'000);

// A batch outlives any cache of a few slots: what is measured is refilling and emptying.
void BM_batch(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  std::vector<char*> pointers(1000);
  for (auto _ : state) {
    for (char*& pointer : pointers) pointer = allocate(size);
    for (char* const pointer : pointers) free(pointer);
  }
}
BENCHMARK(BM_batch)->Arg(32)->Arg(512)->Iterations(6'000);

void BM_churn_mixed(benchmark::State& state) {
  Random random(static_cast<uint64_t>(state.thread_index()) + 1);
  std::vector<char*> live(10'000);
  for (auto _ : state) {
    char*& place = live[random.below(live.size())];
    free(place);
    place = allocate(mixed_size(random));
  }
  for (char* const pointer : live) free(pointer);
}
BENCHMARK(BM_churn_mixed)->Iterations(4'000'000);
BENCHMARK(BM_churn_mixed)->Threads(2)->Iterations(2'000'000)->UseRealTime();

void BM_churn_small(benchmark::State& state) {
  Random random(3);
  std::vector<char*> live(100'000);
  for (auto _ : state) {
    char*& place = live[random.below(live.size())];
    free(place);
    place = allocate(16 + random.below(240));
  }
  for (char* const pointer : live) free(pointer);
}
BENCHMARK(BM_churn_small)->Iterations(3'000'000);

void BM_medium(benchmark::State& state) {
  Random random(5);
  std::vector<char*> live(200);
  for (auto _ : state) {
    char*& place = live[random.below(live.size())];
    free(place);
    place = allocate(16 * 1024 + random.below(240 * 1024));
  }
  for (char* const pointer : live) free(pointer);
}
BENCHMARK(BM_medium)->Iterations(300'000);

void BM_large(benchmark::State& state) {
  Random random(7);
  std::array<char*, 20> live{};
  for (auto _ : state) {
    char*& place = live[random.below(live.size())];
    free(place);
    const size_t size = (size_t{5} << 20) + random.below(size_t{20} << 20);
    place = allocate(size);
    for (size_t page = 0; page < size; page += 4096) place[page] = 1;
  }
  for (char* const pointer : live) free(pointer);
}
BENCHMARK(BM_large)->Iterations(400);

void BM_calloc(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  std::array<char*, 64> live{};
  size_t next = 0;
  for (auto _ : state) {
    char*& place = live[next++ % live.size()];
    free(place);
    place = touched(calloc(1, size), size);
  }
  for (char* const pointer : live) free(pointer);
}
BENCHMARK(BM_calloc)->Arg(64)->Arg(1024)->Iterations(4'000'000);
BENCHMARK(BM_calloc)->Arg(40'000)->Iterations(200'000);

void BM_realloc_growth(benchmark::State& state) {
  const auto limit = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    size_t size = 16;
    char* pointer = allocate(size);
    while (size < limit) {
      const size_t grown = size + size / 2;
      pointer = touched(realloc(pointer, grown), grown);
      memset(pointer + size, 1, grown - size);
      size = grown;
    }
    free(pointer);
  }
}
BENCHMARK(BM_realloc_growth)->Arg(4096)->Iterations(300'000);
BENCHMARK(BM_realloc_growth)->Arg(4 << 20)->Iterations(150);

/// One thread allocates, another frees: every free is remote.
void BM_producer_consumer(benchmark::State& state) {
  constexpr size_t kPlaces = 4096;
  constexpr size_t kBlocks = 1'500'000;
  for (auto _ : state) {
    struct Ring {
      alignas(64) std::atomic<size_t> written{0};
      alignas(64) std::atomic<size_t> read{0};
      std::array<char*, kPlaces> places{};
    };
    const auto ring = std::make_unique<Ring>();
    std::thread consumer([&ring] {
      for (size_t i = 0; i != kBlocks; ++i) {
        while (ring->written.load(std::memory_order_acquire) == i) sched_yield();
        free(ring->places[i % kPlaces]);
        ring->read.store(i + 1, std::memory_order_release);
      }
    });
    Random random(11);
    for (size_t i = 0; i != kBlocks; ++i) {
      while (i - ring->read.load(std::memory_order_acquire) == kPlaces) sched_yield();
      ring->places[i % kPlaces] = allocate(16 + random.below(500));
      ring->written.store(i + 1, std::memory_order_release);
    }
    consumer.join();
  }
}
BENCHMARK(BM_producer_consumer)->Iterations(1)->UseRealTime()->MeasureProcessCPUTime();

/// A server after Larson and Krishnan: each worker replaces random blocks of a session, ends, and hands the session to
/// a new thread, so that most blocks are freed by threads that did not allocate them, some long after their owner.
void BM_server_turnover(benchmark::State& state) {
  constexpr int kSessions = 2;
  constexpr int kTurns = 60;
  constexpr int kRequests = 30'000;
  for (auto _ : state) {
    std::vector<std::thread> sessions;
    for (int number = 0; number != kSessions; ++number) {
      sessions.emplace_back([number] {
        std::vector<char*> live(2'000);
        for (int turn = 0; turn != kTurns; ++turn) {
          std::thread([&live, number, turn] {
            Random random(static_cast<uint64_t>(number * 1000 + turn) + 1);
            for (int request = 0; request != kRequests; ++request) {
              char*& place = live[random.below(live.size())];
              free(place);
              place = allocate(8 + random.below(1000));
            }
          }).join();
        }
        for (char* const pointer : live) free(pointer);
      });
    }
    for (std::thread& session : sessions) session.join();
  }
}
BENCHMARK(BM_server_turnover)->Iterations(1)->UseRealTime()->MeasureProcessCPUTime();

/// Threads that do little and end.
void BM_short_threads(benchmark::State& state) {
  for (auto _ : state) {
    std::thread([] {
      std::array<char*, 50> pointers{};
      for (size_t i = 0; i != pointers.size(); ++i) pointers[i] = allocate(16 + i * 20);
      for (char* const pointer : pointers) free(pointer);
    }).join();
  }
}
BENCHMARK(BM_short_threads)->Iterations(4'000)->UseRealTime()->MeasureProcessCPUTime();

struct Node {
  std::unique_ptr<Node> left;
  std::unique_ptr<Node> right;
};

std::unique_ptr<Node> make_tree(int depth) {
  auto node = std::make_unique<Node>();
  if (depth > 0) {
    node->left = make_tree(depth - 1);
    node->right = make_tree(depth - 1);
  }
  return node;
}

/// operator new and delete through the C++ runtime.
void BM_binary_trees(benchmark::State& state) {
  for (auto _ : state) {
    const auto tree = make_tree(15);
    benchmark::DoNotOptimize(tree.get());
  }
}
BENCHMARK(BM_binary_trees)->Iterations(40);

}  // namespace

BENCHMARK_MAIN();
