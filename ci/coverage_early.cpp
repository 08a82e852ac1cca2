// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Part of a build that counts what is executed (STAVE_COVERAGE), and of no other. A program counts in its own memory
// until clang's runtime maps the profile's file in place of that, and what was counted before is lost: how Stave
// starts.
#include <alloca.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" {

// Of the runtime, as its InstrProfiling.h has them.
void __llvm_profile_initialize();
char* __llvm_profile_begin_counters();
char* __llvm_profile_end_counters();
[[gnu::visibility("hidden")]] extern std::intptr_t __llvm_profile_counter_bias;

/// Before any other constructor. (The process that makes the file counts twice what was early.) The linker is told to look for it by name.
[[gnu::visibility("hidden"), gnu::constructor(100)]] void stave_count_early() {
  if (__llvm_profile_counter_bias != 0) return;
  std::free(std::malloc(1));  // starts Stave: else the runtime would, when it asks for memory
  auto* const counters = reinterpret_cast<std::uint64_t*>(__llvm_profile_begin_counters());
  const std::size_t count =
      static_cast<std::size_t>(__llvm_profile_end_counters() - __llvm_profile_begin_counters()) / sizeof *counters;
  auto* const early = static_cast<std::uint64_t*>(alloca(count * sizeof *counters));
  for (std::size_t i = 0; i != count; ++i) early[i] = counters[i];
  __llvm_profile_initialize();
  const std::intptr_t bias = __llvm_profile_counter_bias;
  if (bias == 0) return;  // the file cannot be opened
  for (std::size_t i = 0; i != count; ++i) {
    if (early[i] == 0) continue;
    auto* const mapped = reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::intptr_t>(counters + i) + bias);
    __atomic_fetch_add(mapped, early[i], __ATOMIC_RELAXED);
  }
}

}  // extern "C"
