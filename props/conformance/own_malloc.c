// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A program that has a malloc of its own, as those with a sanitizer or a linked allocator do.
#include <stddef.h>
#include <stdio.h>

static _Alignas(16) char memory[1 << 20];
static size_t used;

void* malloc(size_t size) {
  void* const block = memory + used;
  used += (size + 15) / 16 * 16;
  return used <= sizeof memory ? block : NULL;
}

void free(void* pointer) { (void)pointer; }

int main(void) {
  puts("mine");
  return used == 0;
}
