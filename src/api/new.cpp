// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every operator new and delete. libstave.so needs no C++ runtime: what a failing new must do (call the new-handler,
// throw std::bad_alloc) it asks of the program's own: by weak reference, or, where a program in C loaded it later with
// a library in C++, by name. In libstave.a (STAVE_ARCHIVE) this file is linked by programs in C++ alone, and refers to
// their runtime as they do: a linker takes nothing out of an archive, libstdc++.a, for a weak reference.
//
// A program may replace some of them, and the standard says which others call those. Thus what is named here as an
// operator is called by its symbol (STAVE_EXPORT), which is not ours if it was replaced.
#include <dlfcn.h>

#include <cstddef>
#include <cstdlib>
#include <new>

#include "base/attributes.hpp"
#include "heap/fast_path.hpp"
#include "heap/process.hpp"

// std::get_new_handler() and std::__throw_bad_alloc(), by their symbols, and what the one catch block below needs: this
// file alone is compiled with exceptions. All of it is there whenever a new-handler can be.
extern "C" {
std::new_handler _ZSt15get_new_handlerv();
[[noreturn]] void _ZSt17__throw_bad_allocv();
}
#ifndef STAVE_ARCHIVE
#pragma weak _ZSt15get_new_handlerv
#pragma weak _ZSt17__throw_bad_allocv
__asm__(
    ".weak __gxx_personality_v0\n.weak __cxa_begin_catch\n.weak __cxa_end_catch\n.weak _Unwind_Resume\n.weak "
    "_ZSt9terminatev");
#endif

namespace {

using stave::Claim;
using stave::Family;
using stave::found;
using stave::g_process;
using stave::Request;
using stave::thread_heap;

enum class OnFailure { throws, returns_null };

/// What a failing operator new asks of the C++ runtime; nullptr: there is none.
struct Runtime {
  std::new_handler (*get_new_handler)();
  void (*throw_bad_alloc)();
};

#ifdef STAVE_ARCHIVE
constexpr bool linked_to_runtime() { return true; }

// Who gets operator new out of the archive gets malloc too: the program itself may not call it, but its libraries do.
[[gnu::used]] void* (*const g_malloc)(std::size_t) = &std::malloc;
#else
bool linked_to_runtime() { return &_ZSt17__throw_bad_allocv != nullptr; }
#endif

STAVE_COLD Runtime find_runtime() {
  if (linked_to_runtime()) return {&_ZSt15get_new_handlerv, &_ZSt17__throw_bad_allocv};
#ifndef STAVE_ARCHIVE
  // Loaded after the start, perhaps for its own library alone: then only its name leads there. Found, not loaded.
  for (const char* const name : {"libstdc++.so.6", "libc++.so.1"}) {
    void* const library = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    if (library == nullptr) continue;
    void* const throws = dlsym(library, "_ZSt17__throw_bad_allocv");
    void* const handler = dlsym(library, "_ZSt15get_new_handlerv");
    if (throws != nullptr && handler != nullptr) {
      return {reinterpret_cast<std::new_handler (*)()>(handler), reinterpret_cast<void (*)()>(throws)};
    }
  }
#endif
  return {nullptr, nullptr};
}

/// What a failing operator new does: asks the new-handler to make room and tries again.
template <class Try>
STAVE_COLD void* retry(Try attempt, OnFailure on_failure) {
  const Runtime runtime = find_runtime();
  for (;;) {
    const std::new_handler handler = runtime.get_new_handler != nullptr ? runtime.get_new_handler() : nullptr;
    if (handler == nullptr) break;
    if (on_failure == OnFailure::throws) {
      handler();  // may throw std::bad_alloc, or not return
    } else {
      // Without the weak reference the catch block has no personality: no handler may run that it would have to stop.
      if (!linked_to_runtime()) return nullptr;
      try {
        handler();
      } catch (...) {  // what operator new(nothrow) says to whatever its handler threw
        return nullptr;
      }
    }
    if (void* const memory = attempt()) return memory;
  }
  if (on_failure == OnFailure::returns_null) return nullptr;
  if (runtime.throw_bad_alloc != nullptr) runtime.throw_bad_alloc();
  std::abort();
}

STAVE_SLOW void* make_slow(Request request, OnFailure on_failure) {
  STAVE_KEEP_FRAME();
  const auto attempt = [=] { return g_process.allocate_slow(thread_heap(), request); };
  if (void* const memory = attempt()) return memory;
  return retry(attempt, on_failure);
}

STAVE_FAST void* make(Request request, OnFailure on_failure) {
  if (void* const memory = stave::allocate_fast(g_process.constants.contents, thread_heap(), request.size)) [[likely]]
    return memory;
  return make_slow(request, on_failure);
}

STAVE_SLOW void* make(std::size_t size, std::align_val_t alignment, OnFailure on_failure) {
  STAVE_KEEP_FRAME();
  const auto attempt = [=] {
    if (!stave::process_is_started()) (void)stave::process_heap_slow();
    return g_process.allocate_aligned(thread_heap(), static_cast<std::size_t>(alignment), {size, Family::new_aligned});
  };
  void* const memory = attempt();
  if (memory != nullptr) [[likely]]
    return memory;
  return retry(attempt, on_failure);
}

using New = void*(std::size_t);
using NewAligned = void*(std::size_t, std::align_val_t);
using Delete = void(void*) noexcept;
using DeleteAligned = void(void*, std::align_val_t) noexcept;

// Ours, wherever the symbols of the operators lead.
extern "C" {
[[gnu::alias("_Znwm"), gnu::visibility("hidden"), gnu::malloc, gnu::alloc_size(1)]] New stave_new;
[[gnu::alias("_Znam"), gnu::visibility("hidden"), gnu::malloc, gnu::alloc_size(1)]] New stave_new_array;
[[gnu::alias("_ZnwmSt11align_val_t"), gnu::visibility("hidden"), gnu::malloc,
  gnu::alloc_size(1)]] NewAligned stave_new_aligned;
[[gnu::alias("_ZnamSt11align_val_t"), gnu::visibility("hidden"), gnu::malloc,
  gnu::alloc_size(1)]] NewAligned stave_new_array_aligned;
[[gnu::alias("_ZdlPv"), gnu::visibility("hidden")]] Delete stave_delete;
[[gnu::alias("_ZdaPv"), gnu::visibility("hidden")]] Delete stave_delete_array;
[[gnu::alias("_ZdlPvSt11align_val_t"), gnu::visibility("hidden")]] DeleteAligned stave_delete_aligned;
[[gnu::alias("_ZdaPvSt11align_val_t"), gnu::visibility("hidden")]] DeleteAligned stave_delete_array_aligned;
}

bool new_is_replaced() {
  return found<New>(::operator new) != &stave_new || found<New>(::operator new[]) != &stave_new_array;
}

bool aligned_new_is_replaced() {
  return found<NewAligned>(::operator new) != &stave_new_aligned ||
         found<NewAligned>(::operator new[]) != &stave_new_array_aligned;
}

bool delete_is_replaced() { return found<Delete>(::operator delete) != &stave_delete; }

bool delete_array_is_replaced() { return found<Delete>(::operator delete[]) != &stave_delete_array; }

bool aligned_delete_is_replaced() { return found<DeleteAligned>(::operator delete) != &stave_delete_aligned; }

bool aligned_delete_array_is_replaced() {
  return found<DeleteAligned>(::operator delete[]) != &stave_delete_array_aligned;
}

/// A program that replaces operator new alone frees by ours what malloc or whatever else made.
STAVE_COLD bool any_new_is_replaced() { return new_is_replaced() || aligned_new_is_replaced(); }
STAVE_FAST bool says_nothing_of_family() { return g_process.constants.contents.families && any_new_is_replaced(); }

STAVE_FAST void unmake(void* pointer, Family family, std::size_t size = Claim::kAnySize) {
  STAVE_KEEP_FRAME();
  stave::deallocate(g_process, thread_heap(), pointer,
                    {.size = size, .family = family, .any_family = says_nothing_of_family()});
}

STAVE_SLOW void unmake(void* pointer, std::align_val_t alignment, std::size_t size = Claim::kAnySize) {
  STAVE_KEEP_FRAME();
  stave::deallocate(g_process, thread_heap(), pointer,
                    {.size = size,
                     .alignment_log2 = stave::log2_floor(static_cast<std::size_t>(alignment) | 1),
                     .family = Family::new_aligned,
                     .any_family = says_nothing_of_family()});
}

/// What operator new(nothrow) does where the program has an operator of its own for it.
template <class... Alignment>
STAVE_COLD void* or_null(void* (*replaced)(std::size_t, Alignment...), std::size_t size, Alignment... alignment) {
  try {
    return replaced(size, alignment...);
  } catch (...) {
    return nullptr;
  }
}

}  // namespace

STAVE_EXPORT void* operator new(std::size_t size) { return make({size, Family::new_single}, OnFailure::throws); }
STAVE_EXPORT void* operator new(std::size_t size, std::align_val_t alignment) {
  return make(size, alignment, OnFailure::throws);
}
STAVE_EXPORT void* operator new[](std::size_t size) {
  if (found<New>(::operator new) != &stave_new) [[unlikely]]
    return ::operator new(size);
  return make({size, Family::new_array}, OnFailure::throws);
}
STAVE_EXPORT void* operator new[](std::size_t size, std::align_val_t alignment) {
  return ::operator new(size, alignment);
}
STAVE_EXPORT void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (new_is_replaced()) [[unlikely]]
    return or_null(found<New>(::operator new), size);
  return make({size, Family::new_single}, OnFailure::returns_null);
}
STAVE_EXPORT void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  if (new_is_replaced()) [[unlikely]]
    return or_null(found<New>(::operator new[]), size);
  return make({size, Family::new_array}, OnFailure::returns_null);
}
STAVE_EXPORT void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  if (aligned_new_is_replaced()) [[unlikely]]
    return or_null(found<NewAligned>(::operator new), size, alignment);
  return make(size, alignment, OnFailure::returns_null);
}
STAVE_EXPORT void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  if (aligned_new_is_replaced()) [[unlikely]]
    return or_null(found<NewAligned>(::operator new[]), size, alignment);
  return make(size, alignment, OnFailure::returns_null);
}

STAVE_EXPORT void operator delete(void* pointer) noexcept { unmake(pointer, Family::new_single); }
STAVE_EXPORT void operator delete(void* pointer, std::align_val_t alignment) noexcept { unmake(pointer, alignment); }
STAVE_EXPORT void operator delete[](void* pointer) noexcept {
  if (delete_is_replaced()) [[unlikely]]
    return ::operator delete(pointer);
  unmake(pointer, Family::new_array);
}
STAVE_EXPORT void operator delete[](void* pointer, std::align_val_t alignment) noexcept {
  if (aligned_delete_is_replaced()) [[unlikely]]
    return ::operator delete(pointer, alignment);
  unmake(pointer, alignment);
}
STAVE_EXPORT void operator delete(void* pointer, const std::nothrow_t&) noexcept { ::operator delete(pointer); }
STAVE_EXPORT void operator delete[](void* pointer, const std::nothrow_t&) noexcept { ::operator delete[](pointer); }
STAVE_EXPORT void operator delete(void* pointer, std::size_t size) noexcept {
  if (delete_is_replaced()) [[unlikely]]
    return ::operator delete(pointer);
  unmake(pointer, Family::new_single, size);
}
STAVE_EXPORT void operator delete[](void* pointer, std::size_t size) noexcept {
  if (delete_is_replaced() || delete_array_is_replaced()) [[unlikely]]
    return ::operator delete[](pointer);
  unmake(pointer, Family::new_array, size);
}
STAVE_EXPORT void operator delete(void* pointer, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  ::operator delete(pointer, alignment);
}
STAVE_EXPORT void operator delete[](void* pointer, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  ::operator delete[](pointer, alignment);
}
STAVE_EXPORT void operator delete(void* pointer, std::size_t size, std::align_val_t alignment) noexcept {
  if (aligned_delete_is_replaced()) [[unlikely]]
    return ::operator delete(pointer, alignment);
  unmake(pointer, alignment, size);
}
STAVE_EXPORT void operator delete[](void* pointer, std::size_t size, std::align_val_t alignment) noexcept {
  if (aligned_delete_is_replaced() || aligned_delete_array_is_replaced()) [[unlikely]]
    return ::operator delete[](pointer, alignment);
  unmake(pointer, alignment, size);
}
