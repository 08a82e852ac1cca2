// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// pairs <shape> <count>: `count` mallocs and as many frees of 64 bytes, for counting their instructions. Shapes:
//   pair    each is freed at once
//   batch   a hundred are allocated, then freed
//   churn   a thousand live, a random one is replaced
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void* keep(void* pointer) {
  __asm__ volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const size_t count = strtoul(argv[2], NULL, 10);
  enum { kSize = 64, kBatch = 100, kLive = 1024 };
  if (strcmp(argv[1], "pair") == 0) {
    for (size_t i = 0; i != count; ++i) free(keep(malloc(kSize)));
  } else if (strcmp(argv[1], "batch") == 0) {
    void* batch[kBatch];
    for (size_t i = 0; i < count; i += kBatch) {
      for (size_t k = 0; k != kBatch; ++k) batch[k] = keep(malloc(kSize));
      for (size_t k = 0; k != kBatch; ++k) free(batch[k]);
    }
  } else if (strcmp(argv[1], "churn") == 0) {
    static void* live[kLive];
    uint64_t random = 88172645463325252U;
    for (size_t i = 0; i != count; ++i) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      free(live[random % kLive]);
      live[random % kLive] = keep(malloc(kSize));
    }
  } else {
    return 2;
  }
  return 0;
}
