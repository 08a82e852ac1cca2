// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// pthread_atfork as libstave.so calls it. The one that glibc links into each library refers to a function that glibc
// alone has, for which the loader of another libc (musl) refuses the library.
#include <dlfcn.h>
#include <pthread.h>

#include <cerrno>

extern "C" {

[[gnu::weak]] int __register_atfork(void (*before)(), void (*in_parent)(), void (*in_child)(), void* library);

int pthread_atfork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept {
  // No library is named with whose unloading the handlers would go: this one stays.
  if (&__register_atfork != nullptr) return __register_atfork(before, in_parent, in_child, nullptr);
  const auto libcs = reinterpret_cast<decltype(&pthread_atfork)>(dlsym(RTLD_NEXT, "pthread_atfork"));
  return libcs != nullptr ? libcs(before, in_parent, in_child) : ENOSYS;
}
}
