// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What early_late links: initialized before a preloaded Stave, and ended after it.
#include <stdlib.h>
#include <string.h>

static void* block;

void* early_late_library_block(void) { return block; }

__attribute__((constructor)) static void before_all_others(void) {
  block = malloc(100);
  free(realloc(malloc(300000), 600000));
}

__attribute__((destructor)) static void after_all_others(void) {
  free(block);
  for (size_t size = 1; size < (size_t)4 << 20; size *= 3) {
    void* const pointer = malloc(size);
    if (pointer == NULL) abort();
    memset(pointer, 1, size);
    free(pointer);
  }
}
