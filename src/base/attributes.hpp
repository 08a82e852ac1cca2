// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every compiler attribute has one spelling, which names the intent.
#pragma once

/// On the path that every small malloc or free takes: inlined into its caller.
#define STAVE_FAST [[gnu::always_inline]] inline
/// The same for a lambda, behind its parameters: one that is called keeps all that it refers to in memory.
#define STAVE_FAST_LAMBDA __attribute__((always_inline))
/// Behind a tail call from a fast path; kept out of line, so that the fast path stays on one screen.
#define STAVE_SLOW [[gnu::noinline]]
/// Slow, and so rare that it is laid out away from everything else.
#define STAVE_COLD [[gnu::noinline, gnu::cold]]
/// In a function that an allocation comes through on its way to a sample: it keeps a frame pointer, and with it that of
/// its caller, where the call stack of a sample goes on.
#define STAVE_KEEP_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))
/// A function of the library's ABI; everything else is hidden. Others call it by its symbol, since a program may have
/// replaced it: not inlined (clang), and -fsemantic-interposition (g++).
#define STAVE_EXPORT [[gnu::visibility("default"), gnu::noinline]]
/// Thread-local words must not need a lazily allocated block: that would call malloc inside malloc.
#define STAVE_TLS [[gnu::tls_model("initial-exec")]] thread_local

namespace stave {

/// Where the symbol of a function leads, which a compiler that sees our own definition believes to know.
template <class Function>
STAVE_FAST Function* found(Function* symbol) {
  __asm__("" : "+r"(symbol));
  return symbol;
}

}  // namespace stave
