// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// c_program LIBRARY: a program in C, without a C++ runtime: the library must need none, and its operators new must work
// all the same. Last it loads LIBRARY, which is in C++ and brings the runtime with it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_runtime_of_cxx(struct dl_phdr_info* info, size_t size, void* found) {
  (void)size;
  if (strstr(info->dlpi_name, "libstdc++") != NULL || strstr(info->dlpi_name, "libc++") != NULL) *(int*)found = 1;
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 2) return 98;
  const char* expected = getenv("CONFORMANCE_ON");
  const int on_stave = dlsym(RTLD_DEFAULT, "stave_verify") != NULL;
  if (expected != NULL && (strcmp(expected, "stave") == 0) != on_stave) return 99;

  int found = 0;
  dl_iterate_phdr(no_runtime_of_cxx, &found);
  if (found) {
    fputs("a C++ runtime is in this C program\n", stderr);
    return 1;
  }

  char* blocks[1000];
  for (size_t i = 0; i != 1000; ++i) {
    blocks[i] = malloc(i * 17 + 1);
    if (blocks[i] == NULL) return 2;
    memset(blocks[i], (int)i, i * 17 + 1);
  }
  for (size_t i = 0; i != 1000; ++i) {
    if ((unsigned char)blocks[i][i * 17] != (unsigned char)i) return 3;
    free(blocks[i]);
  }

  // A library written in C++ without its runtime may look for these.
  void* (*new_)(size_t);
  void* (*new_nothrow)(size_t, const void*);
  void (*delete_)(void*);
  *(void**)&new_ = dlsym(RTLD_DEFAULT, "_Znwm");
  *(void**)&new_nothrow = dlsym(RTLD_DEFAULT, "_ZnwmRKSt9nothrow_t");
  *(void**)&delete_ = dlsym(RTLD_DEFAULT, "_ZdlPv");
  if (on_stave) {
    if (new_ == NULL || new_nothrow == NULL || delete_ == NULL) return 4;
    char* object = new_(100);
    if (object == NULL) return 5;
    memset(object, 1, 100);
    delete_(object);
    const char nothrow = 0;
    if (new_nothrow((size_t)1 << 62, &nothrow) != NULL) return 6;
  }

  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 7;
  }
  int (*try_to_exhaust_memory)(void);
  *(void**)&try_to_exhaust_memory = dlsym(library, "try_to_exhaust_memory");
  if (try_to_exhaust_memory == NULL) return 8;
  const int wrong = try_to_exhaust_memory();
  if (wrong != 0) return 10 + wrong;
  puts("ok");
  return 0;
}
