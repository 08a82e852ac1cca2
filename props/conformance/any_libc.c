// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A program in C on whatever libc it was linked to, statically or not: threads that free each other's blocks, a child
// of fork that goes on with what its parent had, and at its end a double free, but for its twin (MISUSE_CONTROL).
// Judged by props/misuse/run.py.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kThreads = 4, kBlocks = 2000 };

static unsigned char* blocks[kThreads][kBlocks];
static pthread_barrier_t all_allocated;

#ifdef STAVE_STATIC
const char* stave_verify(void);
static const char* (*volatile verify)(void) = &stave_verify;
#else
static const char* (*verify)(void);
#endif

static void require(int condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "does not hold: %s (errno %d)\n", what, errno);
  _exit(1);
}

static size_t size_of(size_t n) { return n % 100 == 0 ? 300000 : 1 + n * 7919 % 3000; }

static void make(size_t thread) {
  for (size_t n = 0; n != kBlocks; ++n) {
    const size_t size = size_of(n);
    unsigned char* const block = n % 2 == 0 ? malloc(size) : calloc(1, size);
    require(block != NULL, "an allocation is served");
    require(n % 2 == 0 || (block[0] == 0 && block[size - 1] == 0), "calloc gives zeroes");
    block[0] = block[size - 1] = (unsigned char)(thread * 50 + n);
    blocks[thread][n] = block;
  }
}

static void check_and_free(size_t thread) {
  for (size_t n = 0; n != kBlocks; ++n) {
    const size_t size = size_of(n);
    unsigned char* block = blocks[thread][n];
    require(block[0] == (unsigned char)(thread * 50 + n) && block[size - 1] == block[0], "contents stay");
    if (n % 3 == 0) {
      block = realloc(block, 2 * size);
      require(block != NULL && block[size - 1] == block[0], "realloc keeps contents");
    }
    require(malloc_usable_size(block) >= size, "the usable size is no less than what was asked for");
    free(block);
  }
}

static void* work(void* number) {
  const size_t thread = (size_t)(uintptr_t)number;
  make(thread);
  pthread_barrier_wait(&all_allocated);
  check_and_free((thread + 1) % kThreads);
  return malloc(10);  // freed by another when this thread is gone
}

int main(void) {
#ifndef STAVE_STATIC
  *(void**)&verify = dlsym(RTLD_DEFAULT, "stave_verify");
#endif
  if (verify == NULL) return 99;
  pthread_t threads[kThreads];
  require(pthread_barrier_init(&all_allocated, NULL, kThreads) == 0, "pthread_barrier_init");
  for (size_t i = 0; i != kThreads; ++i) {
    require(pthread_create(threads + i, NULL, work, (void*)(uintptr_t)i) == 0, "pthread_create");
  }
  for (size_t i = 0; i != kThreads; ++i) {
    void* last;
    require(pthread_join(threads[i], &last) == 0, "pthread_join");
    free(last);
  }
  void* aligned = NULL;
  require(posix_memalign(&aligned, 4096, 5000) == 0 && (uintptr_t)aligned % 4096 == 0, "alignment is kept");
  free(aligned);
  errno = 0;
  require(malloc((size_t)1 << 60) == NULL && errno == ENOMEM, "what cannot be had is ENOMEM");

  make(0);
  const pid_t child = fork();
  if (child == 0) {
    check_and_free(0);
    make(1);
    check_and_free(1);
    _exit(verify() == NULL ? 7 : 8);
  }
  int status = 0;
  require(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7, "the child ends well");
  check_and_free(0);
  require(verify() == NULL, "every invariant holds");

  char* const pointer = malloc(50);
  free(pointer);
  if (getenv("MISUSE_CONTROL") == NULL) {
    printf("touching %p pid %d\n", (void*)pointer, (int)getpid());
    fflush(stdout);
    free(pointer);
  }
  puts("survived");
  return 0;
}
