// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A library that is opened with RTLD_DEEPBIND, and depends on libc as all do.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void* plugin_malloc(size_t size) { return malloc(size); }
void* plugin_realloc(void* pointer, size_t size) { return realloc(pointer, size); }
void plugin_free(void* pointer) { free(pointer); }

size_t plugin_live_bytes(void) { return mallinfo2().uordblks + mallinfo2().hblkhd; }

// From inside of libc.
char* plugin_duplicate(const char* text) { return strdup(text); }

void* plugin_address_of_malloc(void) {
  void* (*volatile function)(size_t) = malloc;
  return (void*)function;
}

// By its bare name: it is found by this library's RUNPATH alone.
const char* plugin_open_neighbour(void) {
  void* const neighbour = dlopen("libconformance_neighbour.so", RTLD_NOW);
  return neighbour != NULL ? NULL : dlerror();
}
