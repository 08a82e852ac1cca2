// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once

#include <cstddef>

namespace stave {

/// Fills `bytes` (at most 256) with unpredictable bits: from getrandom, or where that is refused from the 16 bytes the
/// kernel gave the program at its start (AT_RANDOM). The caller hashes what it gets, and never uses it raw: AT_RANDOM
/// also holds the C library's stack guard.
/// \return false if neither source answers.
[[nodiscard]] bool read_entropy(void* buffer, std::size_t bytes);

}  // namespace stave
