// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Turns crashes of the heap under test into verdicts, so that a model test can shrink the program that led there.
#pragma once

#include "props/heap_concept.hpp"

namespace stave::props {

/// While one lives, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT and an alarm leave by the escape if it is armed, as faults
/// named signal-segv and so on. Otherwise they do what they did before. At most one at a time. Does nothing under
/// sanitizers, whose own reports are better.
class CrashGuard {
 public:
  explicit CrashGuard(Escape& escape);
  ~CrashGuard();
  CrashGuard(const CrashGuard&) = delete;
  CrashGuard& operator=(const CrashGuard&) = delete;

  /// Starts the clock anew: signal-alrm after so many seconds without another call.
  static void restart_clock(unsigned seconds);
};

}  // namespace stave::props
