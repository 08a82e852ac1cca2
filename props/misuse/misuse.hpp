// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What every program of this folder shares. A program commits one misuse, announced by at(); as its own control twin,
// with MISUSE_CONTROL in the environment, it does everything but that. run.py runs both and says what it expects of
// them.
#pragma once

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

#ifdef STAVE_STATIC
extern "C" const char* stave_verify(void);
#endif

namespace misuse {

inline constexpr size_t kSmall = 40;        // a slot of 48 bytes, with or without a canary, of a chunk of one unit
inline constexpr size_t kMedium = 40000;    // a slot of a chunk of several units
inline constexpr size_t kLarge = 1 << 20;   // a mapping of its own
inline constexpr size_t kUnit = 64 * 1024;  // the alignment of every chunk
inline constexpr size_t kPage = 4096;

inline constexpr int kNoMemory = 98;  // exit codes that run.py translates
inline constexpr int kNotServed = 99;

/// Whether this run commits the misuse.
[[nodiscard]] inline bool is_misuse() { return getenv("MISUSE_CONTROL") == nullptr; }

/// Hides from the optimizer what it knows about a pointer, so that no misuse is folded away.
template <class T>
[[nodiscard]] T* opaque(T* pointer) {
  asm volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

/// A helper thread. It exists before the first allocation and is woken by a semaphore: making a thread allocates, and
/// an allocation between a free and its repetition could be handed the very slot, which would then be live again.
struct Helper {
  pthread_t thread;
  sem_t work;
  sem_t done;
  void (*call)(void*);
  void* context;

  static void* loop(void* self) {
    auto* helper = static_cast<Helper*>(self);
    for (;;) {
      while (sem_wait(&helper->work) != 0) {
      }
      helper->call(helper->context);
      sem_post(&helper->done);
    }
  }
};
inline Helper helpers[2];

/// First statement of main. Exits with kNotServed unless Stave is the allocator of this process, or with
/// MISUSE_ANY_ALLOCATOR whichever is.
inline void begin() {
#if defined(MISUSE_ANY_ALLOCATOR)
  const void* served = opaque(helpers);
#elif defined(STAVE_STATIC)
  const void* served = opaque(reinterpret_cast<const void*>(&stave_verify));
#else
  const void* served = dlsym(RTLD_DEFAULT, "stave_verify");
#endif
  if (served == nullptr) _exit(kNotServed);
  for (Helper& helper : helpers) {
    sem_init(&helper.work, 0, 0);
    sem_init(&helper.done, 0, 0);
    if (pthread_create(&helper.thread, nullptr, &Helper::loop, &helper) != 0) _exit(kNoMemory);
  }
}

/// Runs `function` on a helper thread, and waits until it returned. Allocates nothing.
template <int Which = 0, class F>
void elsewhere(F function) {
  Helper& helper = helpers[Which];
  helper.call = [](void* context) { (*static_cast<F*>(context))(); };
  helper.context = &function;
  sem_post(&helper.work);
  while (sem_wait(&helper.done) != 0) {
  }
}

/// Runs `function` on a thread that has ended when this returns.
template <class F>
void on_a_thread_that_ends(F function) {
  pthread_t thread;
  auto call = [](void* context) -> void* {
    (*static_cast<F*>(context))();
    return nullptr;
  };
  if (pthread_create(&thread, nullptr, call, &function) != 0) _exit(kNoMemory);
  pthread_join(thread, nullptr);
}

/// malloc that cannot fail and touches what it got.
[[nodiscard]] inline char* take(size_t size) {
  char* pointer = opaque(static_cast<char*>(malloc(size)));
  if (pointer == nullptr) _exit(kNoMemory);
  if (size != 0) pointer[0] = pointer[size - 1] = 1;
  return pointer;
}

/// Programs that exist for several times and places are told which by WHEN and WHERE.
enum When { kOnce, kDelayed, kReuse };
enum Where { kLocal, kRemote };

/// Runs `function` on this thread, or another one.
template <class F>
void run_at(Where where, F function) {
  if (where == kRemote) {
    elsewhere(function);
  } else {
    function();
  }
}

/// With kDelayed, other allocations come and go: too few for a slot to leave the hold.
inline void meanwhile(When when, size_t size) {
  if (when != kDelayed) return;
  void* others[3];
  for (void*& other : others) other = take(size);
  for (void* other : others) free(other);
}

/// Allocates until freed memory that `slot` began is handed out again.
[[nodiscard]] inline char* take_again(const char* slot, size_t size) {
  for (int i = 0; i != 1000000; ++i) {
    char* again = take(size);
    if (again == slot) return again;
    free(again);
  }
  _exit(kNoMemory);
}

/// An allocation; with kReuse one whose memory had an earlier life. (Of large blocks the pages serve again, not the
/// address.)
[[nodiscard]] inline char* take_for(When when, size_t size) {
  char* slot = take(size);
  if (when != kReuse) return slot;
  free(slot);
  return size < kLarge / 2 ? take_again(slot, size) : take(size);
}

/// Uses a result that does not matter, for functions that must not be ignored.
template <class T>
void keep(T value) {
  asm volatile("" : : "r"(value) : "memory");
}

/// Announces that the misuse of `pointer` comes next. run.py compares the address with that in the report.
template <class T>
[[nodiscard]] T* at(T* pointer) {
  char line[64];
  const int length =
      snprintf(line, sizeof line, "touching 0x%zx pid %d\n", reinterpret_cast<size_t>(pointer), getpid());
  keep(write(STDOUT_FILENO, line, static_cast<size_t>(length)));
  return opaque(pointer);
}

/// Last statement of main: no misuse may get here.
[[nodiscard]] inline int survived() {
  keep(write(STDOUT_FILENO, "survived\n", 9));
  return 0;
}

/// Last statement of a program that guesses what Stave will do: did it guess right often enough to be of use?
[[nodiscard]] inline int guessed(bool right) {
  if (right) return survived();
  keep(write(STDOUT_FILENO, "missed\n", 7));
  return 0;
}

/// The same for guesses of which `right` were right: making use of them is the misuse.
template <class Count>
[[nodiscard]] int guessed(Count& right, Count enough) {
  if (is_misuse()) {
    keep(at(&right));
    return guessed(right >= enough);
  }
  keep(right);
  return survived();
}

/// A function that glibc's headers do not declare.
template <class F>
[[nodiscard]] F* symbol(const char* name) {
  auto* function = reinterpret_cast<F*>(dlsym(RTLD_DEFAULT, name));
  if (function == nullptr) _exit(kNotServed);
  return function;
}

/// Memory of the program's own, `kUnit`-aligned like a chunk.
[[nodiscard]] inline char* mapped(size_t size) {
  void* where = mmap(nullptr, size + kUnit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (where == MAP_FAILED) _exit(kNoMemory);
  return reinterpret_cast<char*>((reinterpret_cast<size_t>(where) + kUnit - 1) & ~(kUnit - 1));
}

/// First byte of the chunk that a small slot lies in.
[[nodiscard]] inline char* chunk_of(const void* slot) {
  return reinterpret_cast<char*>(reinterpret_cast<size_t>(slot) & ~(kUnit - 1));
}

}  // namespace misuse

using namespace misuse;  // the programs are about one line each
