// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A shim for LD_PRELOAD on glibc that records what a program asks of malloc:
//
//   STAVE_TRACE_FILE=/tmp/raw STAVE_TRACE_EVENTS=200000 LD_PRELOAD=libstave_trace_recorder.so program
//
// Each process writes the raw events (RawEvent of props/trace.hpp) to STAVE_TRACE_FILE.<pid>; `props/fragmentation
// --convert RAW --to TRACE` makes a trace of them. It calls glibc's own entry points and allocates nothing.
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "props/trace.hpp"

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* pointer, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* pointer);
}

namespace {

using stave::props::RawEvent;
using stave::props::TraceKind;

constexpr std::size_t kBuffered = 4096;

pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
RawEvent g_buffer[kBuffered];
std::size_t g_count = 0;
std::uint64_t g_left = 0;
int g_file = -1;
pid_t g_process = 0;

void flush() {
  const char* from = reinterpret_cast<const char*>(g_buffer);
  std::size_t bytes = g_count * sizeof(RawEvent);
  while (g_file >= 0 && bytes != 0) {
    const ssize_t written = write(g_file, from, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    from += written;
    bytes -= static_cast<std::size_t>(written);
  }
  g_count = 0;
}

void append_number(char* text, std::uint64_t number) {
  char digits[24];
  std::size_t n = 0;
  do {
    digits[n++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  std::size_t length = std::strlen(text);
  while (n != 0) text[length++] = digits[--n];
  text[length] = '\0';
}

/// Opens the file of this process; a forked child begins one of its own.
void open_file() {
  g_process = getpid();
  g_count = 0;
  const char* const name = std::getenv("STAVE_TRACE_FILE");
  const char* const events = std::getenv("STAVE_TRACE_EVENTS");
  g_left = events != nullptr ? std::strtoull(events, nullptr, 10) : 1'000'000;
  char path[4096] = {};
  if (name == nullptr || std::strlen(name) > sizeof path - 32) {
    g_left = 0;
    return;
  }
  std::strcpy(path, name);
  std::strcat(path, ".");
  append_number(path, static_cast<std::uint64_t>(g_process));
  g_file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

void record(TraceKind kind, std::size_t size, void* old_address, void* new_address) {
  const int error = errno;
  pthread_mutex_lock(&g_lock);
  if (g_process != getpid()) open_file();
  if (g_left != 0) {
    --g_left;
    g_buffer[g_count++] = {static_cast<std::uint64_t>(kind), size, reinterpret_cast<std::uintptr_t>(old_address),
                           reinterpret_cast<std::uintptr_t>(new_address)};
    if (g_count == kBuffered || g_left == 0) flush();
  }
  pthread_mutex_unlock(&g_lock);
  errno = error;
}

/// A child of fork must not wait for a lock that a thread of its parent held.
[[gnu::constructor]] void set_up() {
  pthread_atfork([] { pthread_mutex_lock(&g_lock); }, [] { pthread_mutex_unlock(&g_lock); },
                 [] { g_lock = PTHREAD_MUTEX_INITIALIZER; });
}

[[gnu::destructor]] void tear_down() {
  pthread_mutex_lock(&g_lock);
  if (g_process == getpid()) flush();
  pthread_mutex_unlock(&g_lock);
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) {
  void* const result = __libc_malloc(size);
  record(TraceKind::malloc_event, size, nullptr, result);
  return result;
}

void* calloc(std::size_t count, std::size_t size) {
  void* const result = __libc_calloc(count, size);
  record(TraceKind::calloc_event, count * size, nullptr, result);
  return result;
}

void* realloc(void* pointer, std::size_t size) {
  void* const result = __libc_realloc(pointer, size);
  if (result != nullptr || size == 0) record(TraceKind::realloc_event, size, pointer, result);
  return result;
}

void free(void* pointer) {
  if (pointer == nullptr) return;
  record(TraceKind::free_event, 0, pointer, nullptr);
  __libc_free(pointer);
}

void* memalign(std::size_t alignment, std::size_t size) {
  void* const result = __libc_memalign(alignment, size);
  record(TraceKind::malloc_event, size, nullptr, result);
  return result;
}

void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }

int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  const int error = errno;
  void* const memory = memalign(alignment, size);
  errno = error;
  if (memory == nullptr) return ENOMEM;
  *result = memory;
  return 0;
}

}  // extern "C"
