// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Memory functions do what they always did, whether or not they are checked: called from a resolver while libraries
// are relocated, from a constructor before the program's (memory_library.c), and from main, on the stack, in static
// memory and to the exact end of allocations; and in threads, in a signal handler and in the child of a fork.
//
//   conformance_memory            all of that
//   conformance_memory beyond     reads a byte beyond an allocation, which is seen where that is checked
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "memory_calls.h"

int memory_library_state(void);

// What the compiler must not know about.
static void* volatile nowhere = NULL;
static void* volatile not_memory = (void*)8;

static unsigned char static_target[kArea + 64];
static unsigned char static_source[kArea + 64];

static void require(int condition, const char* what) {
  if (!condition) fail_at(what, 0, 0);
}

/// Allocations that are used to their last byte, from both ends.
static void exact_ends(size_t large) {
  for (size_t n = 1; n <= kLongest; ++n) {
    char* const a = malloc(large + n);
    char* const b = malloc(large + n);
    require(a != NULL && b != NULL, "memory");
    const size_t size = malloc_usable_size(a) < malloc_usable_size(b) ? malloc_usable_size(a) : malloc_usable_size(b);
    char* const a_end = a + malloc_usable_size(a);
    char* const b_end = b + malloc_usable_size(b);
    memset(a, 'x', malloc_usable_size(a));
    memset(b, 'y', malloc_usable_size(b));
    require(memcpy(a_end - size, b_end - size, size) == a_end - size && a_end[-1] == 'y', "memcpy to the end");
    require(memmove(b, a, size) == b, "memmove from the start");
    require(mempcpy(b, a, size) == b + size, "mempcpy");
    memset(b_end, 1, 0);
    require(memcpy(b_end, a_end, 0) == b_end, "nothing, at the end");
    require(mempcpy(nowhere, a_end, 0) == NULL, "nothing, nowhere");
    memset(a, 'x', (size_t)(a_end - a));
    a_end[-1] = 0;
    char* const text = a_end - size;
    require(stpcpy(b_end - size, text) == b_end - 1, "a string that ends at the end");
    require(strcpy(b, text) == b, "from the start");
    require(strncpy(b, text, size) == b, "with its length");
    a_end[-1] = 'x';
    require(strncpy(b, text, size) == b, "without a zero");
    require(memccpy(b, text, 'z', size) == NULL, "without a find");
    if (size > 1) {
      b[0] = 0;
      b_end[-1] = 'q';
      require(strncat(b, text, size - 1) == b && b[size - 1] == 0, "strncat up to the end");
    }
    free(a);
    free(b);
  }
}

static void files(void) {
  char* const buffer = malloc(100);
  require(buffer != NULL, "memory");
  const size_t size = malloc_usable_size(buffer);
  FILE* const zeros = fopen("/dev/zero", "r");
  int pair[2];
  require(zeros != NULL && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "files");
  require(read(fileno(zeros), buffer, size) == (ssize_t)size, "read");
  require(pread(fileno(zeros), buffer, size, 0) == (ssize_t)size, "pread");
  require(fread(buffer, size, 1, zeros) == 1, "fread");
  require(fread(buffer, 0, (size_t)-1, zeros) == 0, "fread of nothing");
  require(fgets(buffer, (int)size, zeros) == buffer, "fgets");
  errno = 0;
  require(read(-1, buffer, size) == -1 && errno == EBADF, "a bad descriptor");
  require(write(pair[0], "abcdefgh", 8) == 8, "write");
  require(recv(pair[1], buffer, size, MSG_PEEK) == 8 && buffer[7] == 'h', "recv");
  require(recvfrom(pair[1], buffer, size, 0, NULL, NULL) == 8, "recvfrom");
  errno = 0;
  require(recv(pair[1], buffer, size, MSG_DONTWAIT) == -1 && errno == EAGAIN, "recv of nothing");
  require(read(fileno(zeros), not_memory, 1) == -1 && errno == EFAULT, "not memory at all");
  fclose(zeros);
  free(buffer);
}

static void* in_thread(void* start) {
  for (int i = 0; i != 2000; ++i) {
    // Large ones, whose records change while other threads look at theirs.
    char* const block = malloc(i % 4 == 0 ? 400000 : 200);
    require(block != NULL, "memory");
    memset(block, 1, malloc_usable_size(block) < 5000 ? malloc_usable_size(block) : 5000);
    memcpy(block + 64, start, 64);
    free(block);
  }
  return NULL;
}

static char* volatile handled;

static void handler(int number) {
  (void)number;
  char buffer[64];
  memcpy(buffer, handled, 64);
  memset(handled, 2, 64);
  memcpy(handled, buffer, 64);
}

static void in_all_places(void) {
  handled = malloc(400000);
  require(handled != NULL, "memory");
  memset(handled, 7, 64);
  signal(SIGALRM, handler);
  pthread_t threads[4];
  for (int i = 0; i != 4; ++i) require(pthread_create(&threads[i], NULL, in_thread, handled) == 0, "thread");
  for (int i = 0; i != 500; ++i) {
    char* const mine = malloc(300000);
    raise(SIGALRM);
    memcpy(mine, handled, 64);
    require(mine[63] == 7, "contents");
    free(mine);
    if (i % 50 == 0) {
      const pid_t child = fork();
      if (child == 0) {
        memcpy(static_target, handled, 64);
        memcpy(handled, static_target, 64);
        exact_ends(0);
        _exit(0);
      }
      int status = 0;
      require(waitpid(child, &status, 0) == child && status == 0, "child");
    }
  }
  for (int i = 0; i != 4; ++i) pthread_join(threads[i], NULL);
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "beyond") == 0) {
    char* const block = malloc(100);
    memcpy(static_target, block, malloc_usable_size(block));
    memcpy(static_target, block, malloc_usable_size(block) + 1);
    puts("survived");
    return 0;
  }
  require(memory_library_state() == 3, "called by the resolver and by the constructor");
  call_all(static_target, static_source, 1);
  unsigned char target[kArea + 64];
  unsigned char source[kArea + 64];
  call_all(target, source, 7);
  unsigned char* const block_target = malloc(kArea + 64);
  unsigned char* const block_source = malloc(kArea + 64);
  require(block_target != NULL && block_source != NULL, "memory");
  call_all(block_target, block_source, 3);
  call_all(block_target, static_source, 7);
  exact_ends(0);
  exact_ends(30000);
  exact_ends(300000);
  files();
  in_all_places();
  return 0;
}
