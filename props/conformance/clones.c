// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Children that libc knows little or nothing of, and that allocate all the same: of vfork, and of clone with odd flags.
// They share the thread-local variables of whoever made them, so nobody may allocate in both at once: here the parent
// waits, while other threads go on. (With thread-local variables that are all zero, which only clone with CLONE_SETTLS
// can have made, no malloc can be called that has a thread-local variable with a first value.)
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kBlocks = 400, kRounds = 100, kThreads = 3 };

static unsigned char* blocks[kBlocks];
static volatile bool stop;

static void fail(const char* what) {
  fprintf(stderr, "FAILED: %s\n", what);
  _exit(1);
}

static size_t size_of(size_t i) { return i % 50 == 0 ? 200000 : 1 + i * 37 % 2000; }

// Replaces every second block; each holds its number.
static int replace(void* first) {
  for (size_t i = *(size_t*)first; i < kBlocks; i += 2) {
    if (blocks[i] != NULL && (blocks[i][0] != i % 251 || blocks[i][size_of(i) - 1] != i % 251)) fail("a block changed");
    free(blocks[i]);
    blocks[i] = malloc(size_of(i));
    if (blocks[i] == NULL) fail("malloc");
    memset(blocks[i], (int)(i % 251), size_of(i));
  }
  return 0;
}

static void wait_for(pid_t child, const char* what) {
  int status = 0;
  if (child < 0 || waitpid(child, &status, __WALL) != child || status != 0) fail(what);
}

__attribute__((noinline)) static pid_t vfork_and_replace(size_t first) {
  const pid_t child = vfork();
  if (child == 0) {
    replace(&first);
    _exit(0);
  }
  return child;
}

static void* churn(void* nothing) {
  void* kept[100] = {NULL};
  for (size_t i = 0; !stop; ++i) {
    free(kept[i % 100]);
    kept[i % 100] = malloc(size_of(i));
  }
  for (size_t i = 0; i != 100; ++i) free(kept[i]);
  return nothing;
}

int main(void) {
  alarm(100);
  size_t even = 0;
  size_t odd = 1;
  // Without libc nobody is told of a fork, so no lock may be held by another thread: while there is one thread.
  replace(&even), replace(&odd);
  for (int round = 0; round != kRounds / 5; ++round) {
    const pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
      replace(&even), replace(&odd);
      _exit(0);
    }
    replace(&odd);
    wait_for(child, "the child of a clone without libc");
  }
  pthread_t threads[kThreads];
  for (int i = 0; i != kThreads; ++i) {
    if (pthread_create(&threads[i], NULL, churn, NULL) != 0) fail("pthread_create");
  }
  static char stack[256 << 10] __attribute__((aligned(16)));
  char* const top = stack + sizeof stack;
  for (int round = 0; round != kRounds; ++round) {
    replace(&odd);
    wait_for(vfork_and_replace(even), "the child of vfork");
    replace(&even);
    wait_for(clone(replace, top, CLONE_VM | CLONE_VFORK | SIGCHLD, &odd), "the child of CLONE_VM | CLONE_VFORK");
    replace(&odd);
    wait_for(clone(replace, top, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND, &even), "the child of CLONE_VM");
  }
  stop = true;
  for (int i = 0; i != kThreads; ++i) pthread_join(threads[i], NULL);
  replace(&even), replace(&odd);
  for (size_t i = 0; i != kBlocks; ++i) free(blocks[i]);
  return 0;
}
