// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Calls of every memory function, judged by plain loops: results, what was written and what was not. Included by a
// program and by a library with _GNU_SOURCE, each of which makes them at moments of its own. They need no memory but
// what they are given.
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#if defined(__GLIBC__)
void* __memcpy_chk(void*, const void*, size_t, size_t);
void* __memmove_chk(void*, const void*, size_t, size_t);
void* __mempcpy_chk(void*, const void*, size_t, size_t);
void* __memset_chk(void*, int, size_t, size_t);
void __explicit_bzero_chk(void*, size_t, size_t);
char* __strcpy_chk(char*, const char*, size_t);
char* __stpcpy_chk(char*, const char*, size_t);
char* __strncpy_chk(char*, const char*, size_t, size_t);
char* __stpncpy_chk(char*, const char*, size_t, size_t);
char* __strcat_chk(char*, const char*, size_t);
char* __strncat_chk(char*, const char*, size_t, size_t);
#endif

enum { kLongest = 300, kAround = 32, kArea = 2 * kLongest + 4 * kAround };

/// The bytes around what a function may write, as they were.
typedef struct {
  unsigned char bytes[kArea];
} Area;

static void fail_at(const char* what, size_t n, size_t shift) {
  // By write alone: this runs before anything else may be called.
  static const char text[] = "memory_calls: does not hold: ";
  if (write(2, text, sizeof text - 1) < 0 || write(2, what, strlen(what)) < 0) _exit(3);
  char digits[16];
  int at = sizeof digits;
  for (size_t value = n * 1000 + shift; at != 0; value /= 10) digits[--at] = (char)('0' + value % 10);
  if (write(2, digits, sizeof digits) < 0) _exit(3);
  _exit(1);
}

#define HOLDS(condition)                                 \
  do {                                                   \
    if (!(condition)) fail_at(#condition " ", n, shift); \
  } while (0)

static void expect(Area* wanted, const unsigned char* from) {
  for (size_t i = 0; i != kArea; ++i) wanted->bytes[i] = from[i];
}

static int same(const Area* wanted, const unsigned char* area) {
  for (size_t i = 0; i != kArea; ++i) {
    if (wanted->bytes[i] != area[i]) return 0;
  }
  return 1;
}

static void scribble(unsigned char* area, unsigned seed) {
  for (size_t i = 0; i != kArea; ++i) area[i] = (unsigned char)(1 + (seed + i * 7) % 251);  // never 0
}

/// One length, one alignment of the source, in an area of kArea bytes each.
static void call_each(unsigned char* target, unsigned char* source, size_t n, size_t shift) {
  static Area wanted;
  unsigned char* const to = target + kAround + shift / 4;
  unsigned char* const from = source + kAround + shift % 16;
  const int errno_before = errno;
  errno = 77;

#define CALL(expression, result, loop)                     \
  do {                                                     \
    scribble(target, 3);                                   \
    scribble(source, 101);                                 \
    from[n] = 0;                                           \
    expect(&wanted, target);                               \
    unsigned char* const w = wanted.bytes + (to - target); \
    (void)w;                                               \
    loop;                                                  \
    HOLDS((expression) == (void*)(result));                \
    HOLDS(same(&wanted, target));                          \
    HOLDS(errno == 77);                                    \
  } while (0)
#define LOOP(count, value) \
  for (size_t i = 0; i != (count); ++i) w[i] = (value)
#define BYTE(i) ((i) < n ? from[i] : 0)
#define VOID(call) ((call), (void*)0)

  CALL(memcpy(to, from, n), to, LOOP(n, from[i]));
  CALL(memmove(to, from, n), to, LOOP(n, from[i]));
  CALL(mempcpy(to, from, n), to + n, LOOP(n, from[i]));
  CALL(memset(to, 0x1a5, n), to, LOOP(n, 0xa5));
  CALL(VOID(bcopy(from, to, n)), 0, LOOP(n, from[i]));
  CALL(VOID(bzero(to, n)), 0, LOOP(n, 0));
  CALL(VOID(explicit_bzero(to, n)), 0, LOOP(n, 0));
  CALL(memccpy(to, from, 0, n + 5), to + n + 1, LOOP(n + 1, BYTE(i)));
  CALL(memccpy(to, from, 0, n), 0, LOOP(n, from[i]));
  CALL(strcpy((char*)to, (char*)from), to, LOOP(n + 1, BYTE(i)));
  CALL(stpcpy((char*)to, (char*)from), to + n, LOOP(n + 1, BYTE(i)));
  CALL(strncpy((char*)to, (char*)from, n + 9), to, LOOP(n + 9, BYTE(i)));
  CALL(strncpy((char*)to, (char*)from, n), to, LOOP(n, from[i]));
  CALL(strncpy((char*)to, (char*)from, n / 2), to, LOOP(n / 2, from[i]));
  CALL(stpncpy((char*)to, (char*)from, n + 9), to + n, LOOP(n + 9, BYTE(i)));
  CALL(stpncpy((char*)to, (char*)from, n), to + n, LOOP(n, from[i]));
  for (size_t before = 0; before <= n; before += 1 + n / 2) {
#define JOINED(count)                                              \
  do {                                                             \
    to[before] = 0;                                                \
    for (size_t i = 0; i != (count); ++i) w[before + i] = from[i]; \
    w[before + (count)] = 0;                                       \
  } while (0)
    CALL(strcat((char*)to, (char*)from), to, JOINED(n));
    CALL(strncat((char*)to, (char*)from, n + 3), to, JOINED(n));
    CALL(strncat((char*)to, (char*)from, n / 2), to, JOINED(n / 2));
#if defined(__GLIBC__)
    CALL(__strcat_chk((char*)to, (char*)from, kArea), to, JOINED(n));
    CALL(__strncat_chk((char*)to, (char*)from, n / 2, kArea), to, JOINED(n / 2));
#endif
  }
  // Both ways over itself.
  for (int back = 0; back != 2; ++back) {
    scribble(target, 5);
    expect(&wanted, target);
    unsigned char* const low = to;
    unsigned char* const high = to + 1 + shift % 16;
    for (size_t i = 0; i != n; ++i) wanted.bytes[(size_t)((back ? low : high) - target) + i] = (back ? high : low)[i];
    HOLDS(memmove(back ? low : high, back ? high : low, n) == (back ? low : high));
    HOLDS(same(&wanted, target));
  }
#if defined(__GLIBC__)
  CALL(__memcpy_chk(to, from, n, n), to, LOOP(n, from[i]));
  CALL(__memmove_chk(to, from, n, n), to, LOOP(n, from[i]));
  CALL(__mempcpy_chk(to, from, n, n), to + n, LOOP(n, from[i]));
  CALL(__memset_chk(to, 0xa5, n, n), to, LOOP(n, 0xa5));
  CALL(VOID(__explicit_bzero_chk(to, n, n)), 0, LOOP(n, 0));
  CALL(__strcpy_chk((char*)to, (char*)from, n + 1), to, LOOP(n + 1, BYTE(i)));
  CALL(__stpcpy_chk((char*)to, (char*)from, n + 1), to + n, LOOP(n + 1, BYTE(i)));
  CALL(__strncpy_chk((char*)to, (char*)from, n + 9, n + 9), to, LOOP(n + 9, BYTE(i)));
  CALL(__stpncpy_chk((char*)to, (char*)from, n + 9, n + 9), to + n, LOOP(n + 9, BYTE(i)));
#endif
  errno = errno_before;
}

/// All lengths, all alignments; every `step`-th, where time is short. The areas hold kArea bytes and 64 more.
static void call_all(unsigned char* target, unsigned char* source, size_t step) {
  for (size_t n = 0; n <= kLongest; n += step) {
    for (size_t shift = 0; shift < 64; shift += step) call_each(target, source, n, shift);
  }
}
