// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// dlopen, without RTLD_DEEPBIND. A library that was opened with it looks for malloc and free in what it depends on
// first, and finds libc's: it would free what others had from us, and others what it had from libc. (Samba's ldb and
// PHP open their modules so. AddressSanitizer refuses such a call for the same reason.)
#include <dlfcn.h>

#include <atomic>

#include "base/attributes.hpp"
#include "heap/process.hpp"

namespace {

using Dlopen = void* (*)(const char*, int);

std::atomic<Dlopen> g_next{nullptr};

/// libc's, or whatever stands between it and us.
Dlopen next_dlopen() {
  Dlopen next = g_next.load(std::memory_order_relaxed);
  if (next == nullptr) [[unlikely]] {
    next = reinterpret_cast<Dlopen>(dlsym(RTLD_NEXT, "dlopen"));
    g_next.store(next, std::memory_order_relaxed);
  }
  return next;
}

}  // namespace

/// As dlopen(3); RTLD_DEEPBIND is dropped unless the option keep_deepbind is set.
///
/// libc decides by the address that it will return to which library calls, and with that whose RUNPATH holds and in
/// which namespace it looks: the last step must be a jump and not a call. This file is compiled so that it is, and
/// conformance.deepbind sees it.
extern "C" STAVE_EXPORT void* dlopen(const char* file, int mode) {
  const Dlopen next = next_dlopen();
  if (next == nullptr) [[unlikely]]
    return nullptr;  // dlsym has said why
  if (stave::g_process.constants.options.keep_deepbind == 0) mode &= ~RTLD_DEEPBIND;
  return next(file, mode);
}
