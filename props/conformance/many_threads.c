// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// many_threads <threads> <count>: that many threads are alive at once and each has `count` allocations of each of
// twenty sizes. Prints how many KiB more are resident while they live, and when they have freed all, ended, and been
// trimmed.
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {16,  24,  32,  48,  64,  80,  96,  112, 128, 160,
                               192, 224, 256, 320, 384, 448, 512, 640, 768, 1024};
enum { kSizes = sizeof sizes / sizeof sizes[0], kMost = 64 };

static pthread_barrier_t all_have;
static pthread_barrier_t all_go;
static int count;

static void* body(void* argument) {
  (void)argument;
  char* mine[kSizes * kMost];
  int used = 0;
  for (int i = 0; i != count; ++i) {
    for (int size = 0; size != kSizes; ++size) {
      char* const block = malloc(sizes[size]);
      if (block == NULL) abort();
      memset(block, used, sizes[size]);
      mine[used++] = block;
    }
  }
  pthread_barrier_wait(&all_have);
  pthread_barrier_wait(&all_go);
  while (used-- != 0) {
    if (mine[used][0] != (char)used || mine[used][sizes[used % kSizes] - 1] != (char)used) abort();
    free(mine[used]);
  }
  return NULL;
}

static long resident_kib(void) {
  FILE* const file = fopen("/proc/self/smaps_rollup", "r");
  char line[256];
  long kib = -1;
  while (file != NULL && kib < 0 && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "Rss: %ld", &kib) != 1) kib = -1;
  }
  if (kib < 0) abort();
  fclose(file);
  return kib;
}

int main(int argc, char** argv) {
  const int threads = argc == 3 ? atoi(argv[1]) : 0;
  count = argc == 3 ? atoi(argv[2]) : 0;
  if (threads <= 0 || count <= 0 || count > kMost) {
    fprintf(stderr, "usage: many_threads <threads> <count>\n");
    return 2;
  }
  pthread_barrier_init(&all_have, NULL, (unsigned)threads + 1);
  pthread_barrier_init(&all_go, NULL, (unsigned)threads + 1);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 << 10);
  pthread_t* const ids = malloc((size_t)threads * sizeof *ids);
  const long before = resident_kib();
  for (int i = 0; i != threads; ++i) {
    if (pthread_create(&ids[i], &small, body, NULL) != 0) return 77;
  }
  pthread_barrier_wait(&all_have);
  const long alive = resident_kib();
  pthread_barrier_wait(&all_go);
  for (int i = 0; i != threads; ++i) pthread_join(ids[i], NULL);
  malloc_trim(0);
  printf("%ld %ld\n", alive - before, resident_kib() - before);
  free(ids);
  return 0;
}
