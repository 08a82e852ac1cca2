// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one allocator of the process, and the heap of the calling thread.
#pragma once

#include "base/attributes.hpp"
#include "heap/allocator.hpp"

namespace stave {

/// The calling thread's heap. A thread that has not allocated yet, or whose heap was taken back at its end, has a
/// constant one that is always busy.
[[gnu::tls_model("initial-exec")]] extern __thread ThreadHeap* t_heap;

STAVE_FAST ThreadHeap& thread_heap() { return *t_heap; }

/// As if the calling thread had not allocated yet.
void forget_thread_heap();

/// The heap to use when the thread's own is busy: starts the process, gives the thread its heap, or finds one for a
/// call that interrupted another. nullptr if memory is out.
[[nodiscard]] ThreadHeap* process_heap_slow();
/// The call that process_heap_slow served is over.
void process_heap_done(ThreadHeap* heap);
[[nodiscard]] bool process_is_started();

/// Makes a touch of the process's guards and of its freed memory a fault with a report. Unless there is a handler.
void handle_sigsegv();

}  // namespace stave
