// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/call_stack.hpp"

#include <ucontext.h>

#include <initializer_list>

#include "base/bits.hpp"
#include "os/kernel.hpp"
#include "os/lock.hpp"
#include "os/sanitizer.hpp"

namespace stave {
namespace {

/// On x86-64 as on aarch64: where the caller's is, and behind it where this one returns to.
struct Frame {
  const Frame* caller;
  std::uintptr_t returns_to;
};

constexpr std::uintptr_t kMostFrame = std::uintptr_t{256} << 10;
constexpr std::uintptr_t kSmallestPage = 4096;

/// Appends the return addresses from a frame on.
///
/// What follows a frame need not be the thread's stack: a coroutine's ends anywhere, perhaps before a page without
/// access. So each page is asked for before it is read. Frames ascend, or a loop would never end.
STAVE_READS_ANY_WORD void follow(std::uintptr_t frame, CallStack& calls) {
  std::uintptr_t readable = 1;  // a page of which this is known; the first one is asked for like any other
  for (std::uintptr_t at = frame;;) {
    for (const std::uintptr_t word : {at, at + sizeof(std::uintptr_t)}) {
      if (align_down(word, kSmallestPage) == readable) continue;
      if (!kernel::is_readable(word)) return;
      readable = align_down(word, kSmallestPage);
    }
    const Frame& here = *reinterpret_cast<const Frame*>(at);
    if (here.returns_to < kSmallestPage) return;
    calls.frames[calls.count] = here.returns_to;
    if (++calls.count == CallStack::kMost) return;
    const std::uintptr_t next = address_of(here.caller);
    if (next % sizeof(std::uintptr_t) != 0 || next <= at || next - at > kMostFrame) return;
    at = next;
  }
}

}  // namespace

void take_calls(const void* frame, CallStack& calls) {
  calls.thread = this_thread();
  calls.count = 0;
  follow(address_of(frame), calls);
}

void take_interrupted_calls(const void* context, CallStack& calls) {
  calls.thread = this_thread();
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  const auto at = static_cast<std::uintptr_t>(machine.gregs[REG_RIP]);
  const auto frame = static_cast<std::uintptr_t>(machine.gregs[REG_RBP]);
#else
  const auto at = static_cast<std::uintptr_t>(machine.pc);
  const auto frame = static_cast<std::uintptr_t>(machine.regs[29]);
#endif
  calls.frames[0] = at;
  calls.count = 1;
  // Without frame pointers the register holds anything.
  if (frame % sizeof(std::uintptr_t) == 0) follow(frame, calls);
}

}  // namespace stave
