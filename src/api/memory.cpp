// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Memory functions that know where allocations end. Each exported one jumps through a table: to its checked form, if
// `checked_memory` is on, or else to the C library's own, which it hides.
//
// Libraries that the loader relocated and started before this one call them, too: resolvers when nothing of this
// library is relocated yet, so the table is zero then, has no relocations, and what it does not name is served by plain
// loops. The compiler must not make calls of memory functions of them, or of anything else here
// (ci/StaveTargets.cmake).
//
// The library's own calls never come here: the linker leads them to the C library's functions (`--wrap`).
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/types.h>

#include <cstdlib>
#include <cstring>

#include "base/attributes.hpp"
#include "heap/process.hpp"
#include "os/kernel.hpp"

namespace stave {
namespace {

/// All of them by name.
struct Functions {
#define STAVE_MEMORY(name, result, parameters, arguments, checks, before) result(*name) parameters;
#include "api/memory.def"
#undef STAVE_MEMORY
};

/// On pages of its own, which are read-only after the start. A function that is not known yet is nullptr.
struct alignas(kLargestPage) Table {
  Functions entry;  ///< what a call of the program's goes to
  Functions next;   ///< the C library's, or what else stands between it and us
};
constinit Table g_table{};

/// Loops, for strings and pieces so short that they are not worth more.
namespace plain {

STAVE_COLD char* move(void* to, const void* from, std::size_t n) {
  auto* const target = static_cast<char*>(to);
  const auto* const source = static_cast<const char*>(from);
  if (address_of(to) - address_of(from) >= n) {
    for (std::size_t i = 0; i != n; ++i) target[i] = source[i];
  } else {
    for (std::size_t i = n; i != 0; --i) target[i - 1] = source[i - 1];
  }
  return target;
}

STAVE_COLD void* fill(void* to, int byte, std::size_t n) {
  for (std::size_t i = 0; i != n; ++i) static_cast<char*>(to)[i] = static_cast<char>(byte);
  return to;
}

STAVE_COLD void* copy_through(void* to, const void* from, int byte, std::size_t n) {
  for (std::size_t i = 0; i != n; ++i) {
    static_cast<char*>(to)[i] = static_cast<const char*>(from)[i];
    if (static_cast<const char*>(from)[i] == static_cast<char>(byte)) return static_cast<char*>(to) + i + 1;
  }
  return nullptr;
}

STAVE_COLD std::size_t length(const char* string, std::size_t most = kNoBound) {
  std::size_t i = 0;
  while (i != most && string[i] != '\0') ++i;
  return i;
}

/// At most `most` characters of a string, and a zero, whose place is returned.
STAVE_COLD char* string(char* to, const char* from, std::size_t most) {
  std::size_t i = 0;
  for (; i != most && from[i] != '\0'; ++i) to[i] = from[i];
  to[i] = '\0';
  return to + i;
}

/// n bytes, of which the last ones are zero. The place of the first zero, or the end, is returned.
STAVE_COLD char* padded(char* to, const char* from, std::size_t n) {
  std::size_t i = 0;
  for (; i != n && from[i] != '\0'; ++i) to[i] = from[i];
  char* const end = to + i;
  for (; i != n; ++i) to[i] = '\0';
  return end;
}

/// What is fortified says how much room there is.
void fits(std::size_t n, std::size_t room) {
  if (n > room) std::abort();
}

}  // namespace plain

#define STAVE_NEXT(name) reinterpret_cast<decltype(Functions::name)>(dlsym(RTLD_NEXT, #name))

/// What serves before the start.
namespace early {
#define STAVE_MEMORY(name, result, parameters, arguments, checks, before) \
  STAVE_COLD result name parameters { return before; }
#include "api/memory.def"
#undef STAVE_MEMORY
}  // namespace early

/// The functions as the C library has them.
namespace next {
#define STAVE_MEMORY(name, result, parameters, arguments, checks, before) \
  STAVE_FAST result name parameters {                                     \
    const auto function = g_table.next.name;                              \
    if (function == nullptr) [[unlikely]]                                 \
      return early::name arguments;                                       \
    return function arguments;                                            \
  }
#include "api/memory.def"
#undef STAVE_MEMORY
}  // namespace next

std::size_t product(std::size_t size, std::size_t count) {
  std::size_t bytes = 0;
  return multiply(size, count, &bytes) ? bytes : kNoBound;
}

std::size_t positive(int n) { return n > 0 ? static_cast<std::size_t>(n) : 0; }

/// A call of a memory function. Each member ends the process if what it names is not within one allocation, as far as
/// it begins in memory of ours.
struct Call {
  const char* function;

  STAVE_FAST void writes(void* to, std::size_t n) const { check(to, n, "write"); }
  STAVE_FAST void copies(void* to, const void* from, std::size_t n) const {
    check(from, n, "read");
    check(to, n, "write");
  }
  /// How many bytes are read up to and with the first `byte`, at most n.
  [[nodiscard]] STAVE_SLOW std::size_t through(const void* from, int byte, std::size_t n) const {
    const std::size_t room = room_at(from);
    const std::size_t looked_at = n < room ? n : room;
    const void* const found = std::memchr(from, byte, looked_at);
    if (found != nullptr) return address_of(found) - address_of(from) + 1;
    if (n > room) die(from, room + 1, "read");
    return n;
  }
  /// The length of a string of which at most n characters are read.
  STAVE_SLOW std::size_t length(const char* string, std::size_t n = kNoBound) const {
    const std::size_t room = room_at(string);
    if (n == kNoBound && room == kNoBound) return std::strlen(string);
    const std::size_t looked_at = n < room ? n : room;
    const void* const found = std::memchr(string, '\0', looked_at);
    if (found != nullptr) return address_of(found) - address_of(string);
    if (n > room) die(string, room + 1, "read");
    return n;
  }

 private:
  STAVE_FAST static std::size_t room_at(const void* address) {
    const RegistryEntry entry = g_process.arena.registry.find(address_of(address));
    return entry.kind() == UnitKind::none ? kNoBound : g_process.room_at(address, entry);
  }
  STAVE_FAST void check(const void* address, std::size_t n, const char* kind) const {
    const RegistryEntry entry = g_process.arena.registry.find(address_of(address));
    if (entry.kind() == UnitKind::none) return;
    if (n > g_process.room_at(address, entry)) [[unlikely]]
      die(address, n, kind);
  }
  [[noreturn]] STAVE_COLD void die(const void* address, std::size_t n, const char* kind) const {
    g_process.die_of_access({.function = function, .kind = kind, .address = address, .bytes = n});
  }
};

namespace checked {
#define STAVE_MEMORY(name, result, parameters, arguments, checks, before) \
  result name parameters {                                                \
    const Call call{#name};                                               \
    checks;                                                               \
    return next::name arguments;                                          \
  }
#include "api/memory.def"
#undef STAVE_MEMORY
}  // namespace checked

/// After the process has started and knows its options. What the C library has not is left to the loops.
[[gnu::constructor(102)]] void fill_table() {
  const bool checks = g_process.constants.options.checked_memory != 0;
#define STAVE_MEMORY(name, result, parameters, arguments, _, before) \
  g_table.next.name = STAVE_NEXT(name);                              \
  g_table.entry.name = checks ? checked::name : g_table.next.name;
#include "api/memory.def"
#undef STAVE_MEMORY
  // Refused at worst: then it stays writable, as the constants do.
  (void)kernel::call(SYS_mprotect, kernel::as_word(&g_table), static_cast<long>(sizeof g_table), PROT_READ);
}

}  // namespace
}  // namespace stave

using namespace stave;  // NOLINT(google-build-using-namespace): for what stands in the list

extern "C" {

// Names of their own, since the compiler knows better what a function called memcpy does.
#define STAVE_MEMORY(name, result, parameters, arguments, checks, before) \
  STAVE_EXPORT result stave_##name parameters __asm__(#name);             \
  result stave_##name parameters {                                        \
    const auto function = g_table.entry.name;                             \
    if (function == nullptr) [[unlikely]]                                 \
      return early::name arguments;                                       \
    return function arguments;                                            \
  }
#include "api/memory.def"
#undef STAVE_MEMORY

// What the linker makes of the library's own calls.
void* stave_own_memcpy(void* to, const void* from, size_t n) __asm__("__wrap_memcpy");
void* stave_own_memcpy(void* to, const void* from, size_t n) { return next::memcpy(to, from, n); }
void* stave_own_memmove(void* to, const void* from, size_t n) __asm__("__wrap_memmove");
void* stave_own_memmove(void* to, const void* from, size_t n) { return next::memmove(to, from, n); }
void* stave_own_memset(void* to, int byte, size_t n) __asm__("__wrap_memset");
void* stave_own_memset(void* to, int byte, size_t n) { return next::memset(to, byte, n); }

}  // extern "C"
