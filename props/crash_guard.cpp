// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "props/crash_guard.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iterator>

#include "props/run_program.hpp"

namespace stave::props {
namespace {

struct Caught {
  int number;
  const char* fault;
};
constexpr Caught kCaught[] = {{SIGSEGV, "signal-segv"}, {SIGBUS, "signal-bus"},   {SIGILL, "signal-ill"},
                              {SIGFPE, "signal-fpe"},   {SIGABRT, "signal-abrt"}, {SIGALRM, "signal-alrm"}};

#if defined(__SANITIZE_THREAD__)
constexpr bool kEnabled = false;
#elif defined(__has_feature)
constexpr bool kEnabled = STAVE_PROPS_ASAN == 0 && !__has_feature(thread_sanitizer);
#else
constexpr bool kEnabled = STAVE_PROPS_ASAN == 0;
#endif

Escape* g_escape = nullptr;
struct sigaction g_before[std::size(kCaught)];
alignas(16) char g_stack[64 << 10];

void on_signal(int number, siginfo_t* info, void*) {
  for (const Caught& caught : kCaught) {
    if (caught.number == number && g_escape != nullptr && g_escape->armed) {
      g_escape->leave(caught.fault, "a signal", number == SIGALRM || number == SIGABRT ? nullptr : info->si_addr);
    }
  }
  signal(number, SIG_DFL);
  raise(number);
}

}  // namespace

CrashGuard::CrashGuard(Escape& escape) {
  if (!kEnabled) return;
  g_escape = &escape;
  stack_t stack{};
  stack.ss_sp = g_stack;
  stack.ss_size = sizeof g_stack;
  sigaltstack(&stack, nullptr);
  for (std::size_t i = 0; i < std::size(kCaught); ++i) {
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    // The handler does not return, so its signal must not stay blocked.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(kCaught[i].number, &action, &g_before[i]);
  }
}

CrashGuard::~CrashGuard() {
  if (!kEnabled) return;
  alarm(0);
  for (std::size_t i = 0; i < std::size(kCaught); ++i) sigaction(kCaught[i].number, &g_before[i], nullptr);
  g_escape = nullptr;
}

void CrashGuard::restart_clock(unsigned seconds) {
  if (kEnabled) alarm(seconds);
}

}  // namespace stave::props
