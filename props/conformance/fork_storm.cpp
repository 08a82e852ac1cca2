// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fork_storm <forks> [light]: forks at any moment amid 16 threads that allocate, pass on and free. Each child frees
// what the lost threads left in the open, allocates, starts a thread, ends; each tenth forks once more. Between them
// this program is spawned, by posix_spawn, which is a clone that shares memory with what it interrupts. `light`: the
// children do less, for there are many.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <atomic>

#include "conformance.hpp"

namespace {

using conformance::opaque;

constexpr int kThreads = 16;
constexpr unsigned kWatchdogSeconds = 10;

struct Block {
  size_t size;
  unsigned char fill;
  unsigned char bytes[];
};

std::array<std::atomic<Block*>, 512> g_shelf;  // each is live and nobody's: whoever takes it out frees it
std::atomic<bool> g_stop{false};
bool g_light;

struct Random {
  uint64_t state;
  uint64_t next() {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return state >> 33;
  }
};

Block* make_block(Random& random) {
  const uint64_t kind = random.next() % 64;
  const size_t size = kind == 0 ? 300000 : kind < 4 ? random.next() % 60000 : random.next() % 700;
  auto* const block = opaque(static_cast<Block*>(malloc(sizeof(Block) + size)));
  REQUIRE(block != nullptr);
  block->size = size;
  block->fill = static_cast<unsigned char>(random.next());
  memset(block->bytes, block->fill, size);
  return block;
}

void end_block(Block* block) {
  if (block == nullptr) return;
  for (size_t i = 0; i < block->size; i += 1 + block->size / 16) REQUIRE(block->bytes[i] == block->fill);
  free(block);
}

void* churn(void* number) {
  Random random{reinterpret_cast<uintptr_t>(number) + 1};
  while (!g_stop.load(std::memory_order_relaxed)) {
    for (int i = 0; i != (g_light ? 10 : 100); ++i) {
      end_block(g_shelf[random.next() % g_shelf.size()].exchange(make_block(random)));
    }
    usleep(g_light ? 10000 : 500);  // sixteen threads that never sleep would leave the children no processor
  }
  return nullptr;
}

void* thread_of_child(void*) {
  Random random{77};
  Block* blocks[200];
  for (Block*& block : blocks) block = make_block(random);
  for (Block* const block : blocks) end_block(block);
  return nullptr;
}

[[noreturn]] void child(int number, int depth);

void wait_for(pid_t pid, int number) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) REQUIRE(errno == EINTR);
  if (WIFSIGNALED(status)) {
    fprintf(stderr, "child %d, number %d, died by signal %d%s\n", pid, number, WTERMSIG(status),
            WTERMSIG(status) == SIGALRM ? ", the watchdog: it hung" : "");
    _exit(1);
  }
  if (WEXITSTATUS(status) != 0) {
    fprintf(stderr, "child %d, number %d, exited %d\n", pid, number, WEXITSTATUS(status));
    _exit(1);
  }
}

void fork_once(int number, int depth) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) child(number, depth);
  wait_for(pid, number);
}

void spawn_once(char* program, int number) {
  char what[] = "spawned";
  char* const arguments[] = {program, what, nullptr};
  pid_t pid = 0;
  REQUIRE(posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, arguments, environ) == 0);
  wait_for(pid, number);
}

[[noreturn]] void child(int number, int depth) {
  alarm(kWatchdogSeconds);
  Random random{static_cast<uint64_t>(number)};
  if (g_light) {
    end_block(g_shelf[random.next() % g_shelf.size()].exchange(nullptr));
    end_block(make_block(random));
    _exit(0);
  }
  for (auto& place : g_shelf) end_block(place.exchange(nullptr));
  Block* blocks[1000];
  for (Block*& block : blocks) block = make_block(random);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, &thread_of_child, nullptr) == 0);
  pthread_join(thread, nullptr);
  if (depth == 0 && number % 10 == 0) fork_once(number, 1);
  for (Block* const block : blocks) end_block(block);
  if (number % 16 == 0) exit(0);  // handlers and destructors run as well
  _exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  conformance::begin();
  if (argc > 1 && strcmp(argv[1], "spawned") == 0) {
    Random random{1};
    end_block(make_block(random));
    return 0;
  }
  const int forks = argc > 1 ? atoi(argv[1]) : 200;
  g_light = argc > 2;
  pthread_t threads[kThreads];
  for (uintptr_t i = 0; i != kThreads; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, &churn, reinterpret_cast<void*>(i)) == 0);
  }
  for (int number = 0; number != forks; ++number) {
    fork_once(number, 0);
    spawn_once(argv[0], number);
  }
  g_stop = true;
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  for (auto& place : g_shelf) end_block(place.exchange(nullptr));
  printf("%d forks, %d spawns\n", forks, forks);
  return 0;
}
