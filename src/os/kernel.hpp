// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kernel, without errno. Calls go straight to it: the C library's mmap and its like may be interposed by a library
// that allocates, and errno belongs to the program.
#pragma once

#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#include <sys/resource.h>
#include <sys/stat.h>
#define STAVE_MSAN 1
#endif
#endif

namespace stave::kernel {

#if defined(STAVE_MSAN)
/// MemorySanitizer does not see what the kernel writes. (Sets of signals are left out: they are only handed back.)
inline void mark_written(long number, long result, long a, long b, long c, long d) {
  const auto mark = [](long start, long bytes) {
    __msan_unpoison(reinterpret_cast<void*>(start), static_cast<std::size_t>(bytes));
  };
  if (result < 0) return;
  if (number == SYS_getrandom) mark(a, result);
  if (number == SYS_read) mark(b, result);
  if (number == SYS_readlinkat) mark(c, result);
  if (number == SYS_fstat) mark(b, sizeof(struct stat));
  if (number == SYS_mincore) mark(c, b / 4096);
  if (number == SYS_prlimit64 && d != 0) mark(d, sizeof(struct rlimit));
}
#else
inline void mark_written(long, long, long, long, long, long) {}
#endif

/// The kernel's own answer: a value, or minus the error number.
inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
#if defined(__x86_64__)
  long result = number;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  mark_written(number, result, a, b, c, d);
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
  mark_written(number, x0, a, b, c, d);
  return x0;
#else
#error "Stave knows x86-64 and aarch64"
#endif
}

inline long as_word(const volatile void* pointer) { return reinterpret_cast<long>(pointer); }

/// Whether the 8 bytes at an address, which is a multiple of 8, can be read. No access: the kernel looks at what would
/// be a set of signals before it finds that nothing is to be done with it.
[[nodiscard]] inline bool is_readable(std::uintptr_t address) {
  constexpr long kEfault = 14;
  return address != 0 && call(SYS_rt_sigprocmask, -1, static_cast<long>(address), 0, 8) != -kEfault;
}

/// Writes all of `bytes` to a descriptor; gives up on any error but EINTR, and when the descriptor takes nothing for a
/// second: a full pipe or a closed descriptor cannot hang or loop.
void write_all(int descriptor, const char* text, std::size_t bytes);

}  // namespace stave::kernel
