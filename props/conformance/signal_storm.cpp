// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// signal_storm <seconds> [<microseconds>]: timers interrupt threads inside malloc and free, and their handlers allocate
// and free as well, also what the interrupted code allocated. Two signals, so that handlers interrupt handlers. On
// Stave alone: glibc does not promise this, and would hang.
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>

#include "conformance.hpp"

namespace {

using conformance::opaque;

constexpr int kThreads = 4;

struct Block {
  size_t size;
  unsigned char fill;
  unsigned char bytes[];
};

long g_period = 50'000;  // nanoseconds: longer than a handler takes, or nothing else gets its turn
std::atomic<bool> g_stop{false};
std::atomic<uint64_t> g_signals{0};
std::atomic<uint64_t> g_nested{0};
thread_local std::atomic<Block*> t_shelf[64];  // code and handlers take from it what the other put there
thread_local volatile int t_depth;

Block* make_block(uint64_t random) {
  const size_t size = random % 61 == 0 ? 40000 : random % 257 == 0 ? 400000 : random % 700;
  auto* const block = opaque(static_cast<Block*>(malloc(sizeof(Block) + size)));
  REQUIRE(block != nullptr);
  block->size = size;
  block->fill = static_cast<unsigned char>(random);
  memset(block->bytes, block->fill, size);
  return block;
}

void end_block(Block* block) {
  if (block == nullptr) return;
  for (size_t i = 0; i < block->size; i += 1 + block->size / 16) REQUIRE(block->bytes[i] == block->fill);
  free(block);
}

void swap_some(uint64_t seed, int count) {
  for (int i = 0; i != count; ++i) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    end_block(t_shelf[(seed >> 33) % 64].exchange(make_block(seed >> 40)));
  }
}

void on_signal(int, siginfo_t*, void*) {
  t_depth = t_depth + 1;
  if (t_depth > 1) g_nested.fetch_add(1, std::memory_order_relaxed);
  const uint64_t number = g_signals.fetch_add(1, std::memory_order_relaxed);
  swap_some(number * 977, 3);
  t_depth = t_depth - 1;
}

timer_t start_timer(int signal_number, long nanoseconds) {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signal_number;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  timer_t timer{};
  REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  const itimerspec often{{0, nanoseconds}, {0, nanoseconds}};
  REQUIRE(timer_settime(timer, 0, &often, nullptr) == 0);
  return timer;
}

void* interrupted(void* number) {
  const timer_t a = start_timer(SIGALRM, g_period);
  const timer_t b = start_timer(SIGUSR1, g_period + g_period * 2 / 5);
  uint64_t seed = reinterpret_cast<uintptr_t>(number) + 1;
  while (!g_stop.load(std::memory_order_relaxed)) {
    swap_some(seed, 100);
    ++seed;
  }
  timer_delete(a);
  timer_delete(b);
  // What was sent before is still delivered.
  usleep(2000);
  for (auto& place : t_shelf) end_block(place.exchange(nullptr));
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  conformance::begin();
  const int seconds = argc > 1 ? atoi(argv[1]) : 1;
  if (argc > 2) g_period = atol(argv[2]) * 1000;
  struct sigaction action {};
  action.sa_sigaction = &on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  REQUIRE(sigaction(SIGALRM, &action, nullptr) == 0);
  REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
  pthread_t threads[kThreads];
  for (uintptr_t i = 0; i != kThreads; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, &interrupted, reinterpret_cast<void*>(i)) == 0);
  }
  const timespec pause{seconds, 0};
  nanosleep(&pause, nullptr);
  g_stop = true;
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  printf("%llu signals, %llu of them inside a handler\n", static_cast<unsigned long long>(g_signals.load()),
         static_cast<unsigned long long>(g_nested.load()));
  REQUIRE(g_signals.load() > 1000);
  return 0;
}
