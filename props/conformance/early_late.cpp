// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Allocation before main, after main, and while threads take their keys down, in every round that POSIX allows. Before
// main in the order of the loader: a resolver of an IFUNC symbol, while libraries still lack their thread-local
// variables; preinit_array; the constructor of a library that is initialized before a preloaded one
// (early_late_library.c, whose destructor is also the last one of all); constructors of the program.
#include <limits.h>
#include <pthread.h>

#include <memory>
#include <string>
#include <vector>

#include "conformance.hpp"

extern "C" void* early_late_library_block();

namespace {

using conformance::opaque;

constexpr int kKeys = 40;  // beyond the 32 whose values need no allocation by glibc

void* g_resolver;
void* g_preinit;
void* g_early;
std::vector<int>* g_at_exit;
pthread_key_t g_keys[kKeys];
int g_rounds[kKeys];

extern "C" {
static int resolved() { return 7; }
// What the loader calls is not instrumented, and calls libc for nothing else.
__attribute__((used)) static int (*resolve_early_late())() {
#if !defined(STAVE_STATIC)  // there the resolvers run before there is thread-local storage
  g_resolver = malloc(100);
  free(malloc(1 << 20));
#endif
  return resolved;
}
static int early_late() __attribute__((ifunc("resolve_early_late")));
}

void before_constructors() {
  g_preinit = opaque(malloc(100));
  REQUIRE(g_preinit != nullptr);
}
__attribute__((section(".preinit_array"), used)) void (*g_before_constructors)() = &before_constructors;

__attribute__((constructor(101))) void before_everything() {
  g_early = opaque(malloc(100));
  REQUIRE(g_early != nullptr);
  void* const large = opaque(calloc(1, 1 << 20));
  REQUIRE(large != nullptr);
  free(large);
}

__attribute__((destructor(101))) void after_everything() {
  free(g_early);
  for (size_t size = 1; size < size_t{4} << 20; size *= 3) {
    void* const pointer = opaque(malloc(size));
    REQUIRE(pointer != nullptr);
    free(pointer);
  }
}

struct Static {
  std::string text = std::string(200, 'x');
  ~Static() { REQUIRE(text.size() == 200); }
} g_static;

struct PerThread {
  std::unique_ptr<std::string> text = std::make_unique<std::string>(500, 'y');
  ~PerThread() {
    REQUIRE(text->size() == 500);
    text.reset();
    free(opaque(malloc(3000)));
  }
};
thread_local PerThread t_object;

struct KeyValue {
  int number;
  char padding[60];
};

void key_destructor(void* value) {
  auto* const old = static_cast<KeyValue*>(value);
  const int number = old->number;
  free(old);
  void* const large = opaque(malloc(400000));
  REQUIRE(large != nullptr);
  free(large);
  if (++g_rounds[number] < PTHREAD_DESTRUCTOR_ITERATIONS) {
    auto* const next = opaque(static_cast<KeyValue*>(malloc(sizeof(KeyValue))));
    REQUIRE(next != nullptr);
    next->number = number;
    REQUIRE(pthread_setspecific(g_keys[number], next) == 0);
  }
}

void* thread_with_keys(void*) {
  REQUIRE(t_object.text->size() == 500);
  for (int number = 0; number != kKeys; ++number) {
    g_rounds[number] = 0;
    auto* const value = opaque(static_cast<KeyValue*>(malloc(sizeof(KeyValue))));
    value->number = number;
    REQUIRE(pthread_setspecific(g_keys[number], value) == 0);
  }
  return nullptr;
}

// A thread whose very first and only allocation happens while its keys are taken down.
void late_destructor(void*) {
  free(opaque(malloc(100)));
  free(opaque(malloc(50000)));
}

}  // namespace

int main() {
  conformance::begin();
  REQUIRE(early_late() == 7);
#if defined(STAVE_STATIC)
  g_resolver = malloc(100);
#endif
  for (void* const early : {g_resolver, g_preinit, g_early, early_late_library_block()}) {
    REQUIRE(early != nullptr);
    memset(early, 1, 100);
  }
  free(g_resolver);
  free(g_preinit);
  for (pthread_key_t& key : g_keys) REQUIRE(pthread_key_create(&key, &key_destructor) == 0);
  for (int i = 0; i != 200; ++i) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, &thread_with_keys, nullptr) == 0);
    pthread_join(thread, nullptr);
    for (const int rounds : g_rounds) REQUIRE(rounds == PTHREAD_DESTRUCTOR_ITERATIONS);
  }
  static pthread_key_t late;
  REQUIRE(pthread_key_create(&late, &late_destructor) == 0);
  for (int i = 0; i != 200; ++i) {
    pthread_t thread;
    REQUIRE(pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                  pthread_setspecific(late, &late);
                  return nullptr;
                },
                nullptr) == 0);
    pthread_join(thread, nullptr);
  }
  g_at_exit = new std::vector<int>(1000, 7);
  atexit([] {
    REQUIRE((*g_at_exit)[999] == 7);
    delete g_at_exit;
    free(opaque(malloc(100)));
    atexit([] { free(opaque(malloc(100))); });
  });
  at_quick_exit([] { free(opaque(malloc(100))); });
  REQUIRE(t_object.text->size() == 500);
  return 0;
}
