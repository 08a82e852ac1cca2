// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// deepbind <plugin> [forward | warn]: opens a library with RTLD_DEEPBIND. Its malloc must be the program's, and
// pointers cross a million times in both directions. With the second argument its malloc must be libc's, as the flag
// demands, and what comes from it is freed and resized by the program: `forward`: a million times, with effect; `warn`:
// without.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void* find(void* library, const char* name) {
  void* const symbol = dlsym(library, name);
  if (symbol == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  return symbol;
}

static int fail(const char* what) {
  fprintf(stderr, "FAILED: %s\n", what);
  return 1;
}

static int forward(void* (*their_malloc)(size_t), size_t (*their_live_bytes)(void)) {
  const size_t before = their_live_bytes();
  for (uint32_t i = 0; i != 1000000; ++i) {
    const size_t size = i * 2654435761U % (i % 1000 == 0 ? 300000 : 700);
    char* theirs = their_malloc(size + 1);
    if (theirs == NULL) return fail("out of memory");
    theirs[size] = 1;
    if (i % 11 == 0) theirs = realloc(theirs, size + 100);
    if (theirs == NULL || theirs[size] != 1) return fail("realloc lost the content");
    errno = 77;
    free(theirs);
    if (errno != 77) return fail("free changed errno");
  }
  if (their_live_bytes() > before + 4000000) return fail("what was freed is still there");
  return 0;
}

static int warn(void* (*their_malloc)(size_t)) {
  for (int i = 0; i != 1000; ++i) {
    char* const theirs = their_malloc(100);
    theirs[0] = 1;
    if (malloc_usable_size(theirs) != 0) return fail("the size of a stranger's block is known");
    errno = 0;
    if (realloc(theirs, 200) != NULL || errno != ENOMEM) return fail("a stranger's block was resized");
    errno = 77;
    free(theirs);
    if (errno != 77) return fail("free changed errno");
    if (theirs[0] != 1) return fail("a stranger's block was freed");
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 2) return fail("usage: deepbind <plugin> [forward | warn]");
  void* const plugin = dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND);
  if (plugin == NULL) return fail(dlerror());
  void* (*const their_malloc)(size_t) = (void* (*)(size_t))find(plugin, "plugin_malloc");
  void* (*const their_realloc)(void*, size_t) = (void* (*)(void*, size_t))find(plugin, "plugin_realloc");
  void (*const their_free)(void*) = (void (*)(void*))find(plugin, "plugin_free");
  char* (*const their_duplicate)(const char*) = (char* (*)(const char*))find(plugin, "plugin_duplicate");
  void* (*const their_address)(void) = (void* (*)(void))find(plugin, "plugin_address_of_malloc");
  const char* (*const open_neighbour)(void) = (const char* (*)(void))find(plugin, "plugin_open_neighbour");

  // Whoever calls dlopen is whose RUNPATH counts, with us in between or not.
  const char* const error = open_neighbour();
  if (error != NULL) return fail(error);
  if (dlopen("libconformance_neighbour_nowhere.so", RTLD_NOW) != NULL) return fail("found what is not there");
  if (dlerror() == NULL) return fail("dlerror does not say what dlopen did not find");

  void* (*volatile our_malloc)(size_t) = malloc;
  const int same = their_address() == (void*)our_malloc;
  if (argc > 2) {
    if (same) return fail("RTLD_DEEPBIND was dropped");
    if (strcmp(argv[2], "warn") == 0) return warn(their_malloc);
    return forward(their_malloc, (size_t(*)(void))find(plugin, "plugin_live_bytes"));
  }
  if (!same) return fail("the library has another malloc");
  for (uint32_t i = 0; i != 1000000; ++i) {
    const size_t size = i * 2654435761U % (i % 1000 == 0 ? 300000 : 700);
    char* ours = malloc(size + 1);
    char* theirs = their_malloc(size + 1);
    if (ours == NULL || theirs == NULL) return fail("out of memory");
    ours[size] = theirs[size] = 1;
    if (i % 7 == 0) ours = their_realloc(ours, size + 100);
    if (i % 11 == 0) theirs = realloc(theirs, size + 100);
    if (ours == NULL || theirs == NULL || ours[size] != 1 || theirs[size] != 1) return fail("realloc lost the content");
    their_free(ours);
    free(theirs);
    if (i % 16 == 0) free(their_duplicate("text"));
  }
  return 0;
}
