// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Addresses that are not ours. They are faults, unless the option foreign_pointer makes something else of them.
#include <atomic>

#include "base/mutant.hpp"
#include "heap/allocator.hpp"
#include "heap/instantiate.hpp"
#include "os/report.hpp"

// The malloc of the C library, by names that nobody interposes: linked, and so in memory that is read-only, where
// pointers looked up by name would be hooks for whoever can write. Absent where the C library is not glibc.
extern "C" {
[[gnu::weak]] void __libc_free(void* pointer);
[[gnu::weak]] void* __libc_realloc(void* pointer, std::size_t size);
}

namespace stave {
namespace {

constexpr const char* kRule = "the registry does not know the address";

/// Once is enough: a program that frees one such pointer frees many.
void warn(const void* pointer) {
  static std::atomic<bool> warned{false};
  if (warned.exchange(true, std::memory_order_relaxed)) return;
  char storage[1024];
  TextBuffer out(storage, sizeof storage);
  format_report({.fault = Fault::foreign_pointer, .rule = kRule, .address = pointer}, out);
  out.text("stave:   nothing is done with it, and others are not reported: foreign_pointer=warn\n");
  log_loudly(out.view());
}

}  // namespace

/// Returns if the option says that it is no fault.
template <class S>
void Allocator<S>::meet_foreign(const void* pointer) {
  if (STAVE_MUTANT(foreign_not_checked)) return;
  const std::uint64_t choice = constants.options.foreign_pointer;
  if (choice == kForeignAbort) die_at(Fault::foreign_pointer, kRule, pointer);
  if (choice == kForeignWarn || __libc_free == nullptr) warn(pointer);
}

template <class S>
void Allocator<S>::free_foreign(void* pointer) {
  meet_foreign(pointer);
  if (constants.options.foreign_pointer == kForeignForward && __libc_free != nullptr) __libc_free(pointer);
}

template <class S>
std::size_t Allocator<S>::usable_size_of_foreign(const void* pointer) {
  meet_foreign(pointer);
  return 0;
}

template <class S>
void* Allocator<S>::reallocate_foreign(void* pointer, std::size_t size) {
  // It was met before.
  if (constants.options.foreign_pointer != kForeignForward || __libc_realloc == nullptr) return nullptr;
  return __libc_realloc(pointer, size);
}

#define STAVE_FOREIGN(S)                                                  \
  template void Allocator<S>::free_foreign(void*);                        \
  template std::size_t Allocator<S>::usable_size_of_foreign(const void*); \
  template void* Allocator<S>::reallocate_foreign(void*, std::size_t);
STAVE_INSTANTIATE(STAVE_FOREIGN);

}  // namespace stave
