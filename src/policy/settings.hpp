// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the administrator and whoever started this program ask of the process's allocator.
#pragma once

#include "policy/options.hpp"

namespace stave {

/// Reads options from a file, a line for each, on top of `before`. No file at all is an empty one. One that cannot be
/// read, is no plain file, is larger than 4 KiB, or has anything in it that is not understood, is not used at all.
/// \param say  receives one line that says why, without its end
[[nodiscard]] Options options_of_file(const char* path, const Options& before,
                                      void (*say)(void* context, const char* line), void* context);

/// The options of /etc/stave.conf and on top those of STAVE_OPTIONS, and opens the log that they name. Says there what
/// is not understood. A program that runs with more rights than its caller ignores the variable, and its log is
/// descriptor 2.
[[nodiscard]] Options options_of_process();

}  // namespace stave
