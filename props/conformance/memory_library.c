// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What memory.c links: relocated and initialized before a preloaded Stave.
#define _GNU_SOURCE
#include "memory_calls.h"

static int state;

int memory_library_state(void) { return state; }

static unsigned char target[kArea + 64];
static unsigned char source[kArea + 64];

#if defined(__GLIBC__) && !defined(STAVE_STATIC)  // where resolvers run before there is thread-local storage
static int resolved(void) { return 1; }
// Compiled with -fno-plt: the addresses of functions are known by then.
__attribute__((used)) static int (*resolve_memory_library(void))(void) {
  const int before = state;
  state = 1;
  if (before == 0) call_all(target, source, 13);
  return resolved;
}
static int memory_library_function(void) __attribute__((ifunc("resolve_memory_library")));
__attribute__((used)) static int (*const needed)(void) = memory_library_function;
#else
__attribute__((constructor(101))) static void no_resolvers(void) { state = 1; }
#endif

__attribute__((constructor(200))) static void before_all_others(void) {
  call_all(target, source, 5);
  char buffer[16];
  FILE* const zeros = fopen("/dev/zero", "r");
  if (zeros == NULL || fread(buffer, 1, 16, zeros) != 16 || read(fileno(zeros), buffer, 16) != 16) _exit(4);
  fclose(zeros);
  state += 2;
}
