// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A program that defines malloc, calloc, realloc and free itself, and none of their relatives: those of the C library
// call its realloc and free, and so must whatever stands before them.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Alignas(16) char arena[1 << 20];
static size_t used;
static int frees;

static int is_own(const void* pointer) {
  return (uintptr_t)pointer >= (uintptr_t)arena && (uintptr_t)pointer < (uintptr_t)arena + sizeof arena;
}

/// Behind a header that holds the size; nothing is used twice.
void* malloc(size_t size) {
  const size_t taken = 16 + ((size + 15) & ~(size_t)15);
  if (size > sizeof arena || taken > sizeof arena - used) return NULL;
  char* const memory = arena + used + 16;
  memcpy(memory - 16, &size, sizeof size);
  used += taken;
  return memory;
}

void free(void* pointer) {
  if (pointer != NULL && !is_own(pointer)) abort();
  ++frees;
}

void* calloc(size_t count, size_t size) {
  return size != 0 && count > sizeof arena / size ? NULL : malloc(count * size);
}

void* realloc(void* pointer, size_t size) {
  void* const memory = malloc(size);
  if (pointer == NULL || memory == NULL) return memory;
  size_t before = 0;
  if (!is_own(pointer)) abort();
  memcpy(&before, (char*)pointer - 16, sizeof before);
  return memcpy(memory, pointer, before < size ? before : size);
}

int main(void) {
  char* text = reallocarray(NULL, 3, 5);
  if (!is_own(text)) return 1;
  strcpy(text, "a few words");
  text = reallocarray(text, 100, 7);
  if (!is_own(text) || strcmp(text, "a few words") != 0) return 2;
  volatile size_t too_many = SIZE_MAX / 2;
  if (reallocarray(text, too_many, 3) != NULL) return 3;
  // A C library as old as this allows has neither; Stave has both.
  static const char* const names[] = {"free_sized", "free_aligned_sized"};
  int found = 0;
  for (size_t i = 0; i != sizeof names / sizeof names[0]; ++i) {
    void (*relative)(void*, size_t, size_t);
    void* const symbol = dlsym(RTLD_DEFAULT, names[i]);
    if (symbol == NULL) continue;
    memcpy(&relative, &symbol, sizeof relative);
    const int before = frees;
    relative(malloc(16), 16, 16);
    if (frees != before + 1) return 4;
    ++found;
  }
  const char* const expected = getenv("CONFORMANCE_ON");
  return expected != NULL && strcmp(expected, "stave") == 0 && found != 2 ? 5 : 0;
}
