// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The numbered invariants of a heap, and the function that runs them.
#pragma once

#include <cstddef>

namespace stave {

/// Outcome of verify(): either ok() or the first invariant that does not hold.
struct VerifyResult {
  const char* invariant = nullptr;  ///< its number and sentence, as in verify.cpp's list; nullptr if all hold
  const void* where = nullptr;      ///< the word, header or record that broke it

  [[nodiscard]] bool ok() const { return invariant == nullptr; }
};

}  // namespace stave
