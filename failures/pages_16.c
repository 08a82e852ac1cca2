/* program version 1 profile light guards advice threads 1 region tight seed 1 every 1. call of unmap fails
   Build: cc -std=gnu11 -pthread. Exits 0 when nothing went wrong. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct slot { unsigned char* p; size_t n; unsigned char fill; } s[64], pile[4][1024];
static unsigned piled[4];
static unsigned char fills;

static void wrong(const char* what, void* p) {
  fprintf(stderr, "%p: %s\n", p, what);
  exit(3);
}
static void look(struct slot* a, size_t n) {
  for (size_t i = 0; i < n; i++) if (a->p[i] != a->fill) wrong("contents changed", a->p + i);
}
static void paint(struct slot* a) {
  if (a->p) { a->n = malloc_usable_size(a->p); a->fill = ++fills; memset(a->p, a->fill, a->n); }
}
static void put(struct slot* a, void* p, size_t size, size_t alignment) {
  a->p = p; a->n = 0;
  if (!p) return;
  if ((uintptr_t)p % 16 || (uintptr_t)p % alignment) wrong("misaligned", p);
  if (malloc_usable_size(p) < size) wrong("too small", p);
  paint(a);
}
static void drop(struct slot* a) {
  if (a->p) look(a, a->n);
  free(a->p);
  a->p = NULL; a->n = 0;
}
static void op_malloc(struct slot* a, size_t size) { put(a, malloc(size), size, 1); }
static void op_calloc(struct slot* a, size_t count, size_t size) {
  unsigned char* p = calloc(count, size);
  if (p) for (size_t i = 0; i < count * size; i++) if (p[i]) wrong("calloc is not zero", p + i);
  put(a, p, p ? count * size : 0, 1);
}
static void op_realloc(struct slot* a, size_t count, size_t size) {
  struct slot old = *a;
  void* p = reallocarray(old.p, count, size);
  if (!p && !(old.p && (count == 0 || size == 0))) return;
  if (p && old.p) { struct slot kept = {p, 0, old.fill}; look(&kept, old.n < count * size ? old.n : count * size); }
  put(a, p, p ? count * size : 0, 1);
}
static void op_aligned(struct slot* a, void* p, size_t alignment, size_t size) { put(a, p, size, p ? alignment : 1); }
static void op_fill(struct slot* a) { if (a->p) { look(a, a->n); paint(a); } }
static void op_check(void) {
  for (unsigned i = 0; i < 64; i++) if (s[i].p) look(&s[i], s[i].n);
  for (unsigned k = 0; k < 4; k++) for (unsigned i = 0; i < piled[k]; i++) if (pile[k][i].p) look(&pile[k][i], pile[k][i].n);
}
static void op_pile_up(unsigned k, size_t size) { op_malloc(&pile[k][piled[k]++], size); }
static void op_unpile(unsigned k, unsigned i) {
  drop(&pile[k][i]);
  memmove(&pile[k][i], &pile[k][i + 1], (--piled[k] - i) * sizeof pile[k][i]);
}
static void leave(pid_t child) {
  int status = 1;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) kill(getpid(), WTERMSIG(status));
  exit(WEXITSTATUS(status));
}

static void step(unsigned k) {
  switch (k) {
    case 0: drop(&s[0]); op_malloc(&s[0], 8193u); break;
    default: break;
  }
}

int main(void) {
  for (unsigned k = 0; k < 1; k++) step(k);
  op_check();
  return 0;
}
