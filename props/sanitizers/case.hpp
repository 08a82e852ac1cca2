// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs that a tool must catch, many in a binary: `BINARY --list` names them and what the report must have, `BINARY
// NAME wrong PROFILE` is the program, and with `right` it is its twin, which does all but the wrong thing. `BINARY all
// right PROFILE` are all twins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "api/stave.h"

struct Case {
  const char* name;
  const char* caught;  ///< a regular expression, in the report of `wrong`
  void (*run)(stave_heap* heap, bool wrong);
  bool keeps_heap = false;  ///< else it is destroyed at the end
};

inline constexpr std::size_t kUnit = std::size_t{64} << 10;

/// The same value, of which the compiler knows nothing: neither where it comes from nor that it is not used.
template <class T>
T opaque(T value) {
  __asm__ volatile("" : "+r"(value) : : "memory");
  return value;
}

inline char* fresh(stave_heap* heap, std::size_t bytes) {
  return opaque(static_cast<char*>(stave_heap_malloc(heap, bytes)));
}

inline void write_byte(char* place) { *opaque(place) = 1; }
inline void read_byte(const char* place) { (void)opaque(*opaque(static_cast<const volatile char*>(place))); }

/// A decision by a byte, which must mean something.
inline void use_byte(const char* place) {
  if (*opaque(place) == 'x') std::puts("x");
}

inline stave_heap* make_heap(const char* profile) {
  stave_heap_options options{};
  options.profile = profile;
  return stave_heap_create(&options);
}

// What more than one tool must catch.

/// A chunk's header lies somewhere in the first page of its first unit.
inline void header(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 32);
  write_byte(wrong ? block - reinterpret_cast<std::uintptr_t>(block) % kUnit + 8 : block);
}

inline void freed_twice(stave_heap* heap, bool wrong) {
  char* const block = fresh(heap, 32);
  stave_heap_free(heap, block);
  if (wrong) stave_heap_free(heap, block);
}

template <std::size_t kCount>
int run_case(const Case (&cases)[kCount], int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (const Case& one : cases) std::printf("%s\t%s\n", one.name, one.caught);
    return 0;
  }
  if (argc != 4) return 2;
  const bool all = std::strcmp(argv[1], "all") == 0;
  bool any = false;
  for (const Case& one : cases) {
    if (!all && std::strcmp(argv[1], one.name) != 0) continue;
    any = true;
    stave_heap* const heap = make_heap(argv[3]);
    if (heap == nullptr) return 3;
    one.run(heap, std::strcmp(argv[2], "wrong") == 0);
    if (const char* const broken = stave_heap_verify(heap)) return std::puts(broken), 4;
    if (!one.keeps_heap) stave_heap_destroy(heap);
  }
  return any ? 0 : 2;
}
