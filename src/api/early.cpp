// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Allocation while the loader is at work. A program's own IFUNC resolvers may allocate, and the loader calls them when
// it has relocated the libraries, but before it gives thread-local variables their first values: all are zero, and
// t_heap must not be. A resolver of ours runs as well, and earlier: when the library is relocated, before what it is
// loaded for. (Of a static program the loader knows nothing, and the resolvers run before there is thread-local
// storage.)
#include "heap/process.hpp"

extern "C" {

using StaveNothing = void();
static void stave_nothing() {}

[[gnu::visibility("hidden")]] StaveNothing* stave_resolve_early() {
  stave::forget_thread_heap();
  return stave_nothing;
}

[[gnu::visibility("hidden")]] StaveNothing stave_early __attribute__((ifunc("stave_resolve_early")));
[[gnu::used]] static StaveNothing* const stave_early_needed = stave_early;

}  // extern "C"
