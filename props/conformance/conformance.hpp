// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the conformance programs share. Each runs under LD_PRELOAD=libstave.so and, where glibc promises the same, on
// plain glibc: a test that glibc fails asks for what nobody promised.
#pragma once

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef STAVE_STATIC
extern "C" const char* stave_verify(void);
#endif

namespace conformance {

/// Whether Stave serves this process.
[[nodiscard]] inline bool on_stave() {
#ifdef STAVE_STATIC
  const char* (*volatile verify)(void) = &stave_verify;
  return verify != nullptr;
#else
  return dlsym(RTLD_DEFAULT, "stave_verify") != nullptr;
#endif
}

/// First statement of main: ends the process if it does not run on the allocator that the test asked for.
inline void begin() {
  const char* const expected = getenv("CONFORMANCE_ON");
  if (expected != nullptr && (strcmp(expected, "stave") == 0) != on_stave()) {
    fprintf(stderr, "expected to run on %s, and does %s\n", expected, on_stave() ? "run on Stave" : "not run on Stave");
    exit(99);
  }
}

/// Hides from the optimizer what it knows about a value. glibc's headers promise it much about malloc.
template <class T>
[[nodiscard]] T opaque(T value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

[[noreturn]] inline void fail(const char* file, int line, const char* what) {
  char text[256];
  const int length = snprintf(text, sizeof text, "%s:%d: does not hold: %s\n", file, line, what);
  if (write(STDERR_FILENO, text, static_cast<size_t>(length)) < 0) _exit(2);
  _exit(1);
}

/// Allocates nothing, so that it may stand anywhere.
#define REQUIRE(condition) ((condition) ? static_cast<void>(0) : conformance::fail(__FILE__, __LINE__, #condition))

/// Resident memory of this process, in bytes. Allocates nothing.
[[nodiscard]] inline size_t resident_bytes() {
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  char text[128] = {};
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  size_t total = 0;
  size_t resident = 0;
  if (length <= 0 || sscanf(text, "%zu %zu", &total, &resident) != 2) return 0;
  return resident * 4096;
}

}  // namespace conformance
