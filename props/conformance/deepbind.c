// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// deepbind <plugin> [kept]: opens a library with RTLD_DEEPBIND. Its malloc must be the program's, and pointers cross a
// million times in both directions; `kept`: its malloc must be another one, as the flag demands.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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

int main(int argc, char** argv) {
  if (argc < 2) return fail("usage: deepbind <plugin> [kept]");
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
  if (argc > 2) return same ? fail("RTLD_DEEPBIND was dropped") : 0;
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
