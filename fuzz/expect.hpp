// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How a fuzz target says that a property does not hold.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace stave::fuzz {

/// Ends the run, which is what an engine takes for a finding.
[[noreturn, gnu::format(printf, 1, 2)]] inline void broken(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::fputs("broken: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputs("\n", stderr);
  va_end(arguments);
  std::abort();
}

inline void expect(bool holds, const char* property) {
  if (!holds) broken("%s", property);
}

}  // namespace stave::fuzz
