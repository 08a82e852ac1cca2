// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Deliberate defects: without one check or one step each. What is shipped has none of them; ci/defects, ci/mutants and
// ci/unprotected build all of them in (STAVE_MUTANTS), choose one by the environment, and show that it is noticed.
#pragma once

#if STAVE_MUTANTS
#include <unistd.h>

#include <string_view>

#include "base/attributes.hpp"

namespace stave {

/// Whether the environment's STAVE_MUTANT has `name` among names with commas between.
[[nodiscard]] STAVE_COLD inline bool is_chosen_mutant(std::string_view name) {
  constexpr std::string_view kVariable = "STAVE_MUTANT=";
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    std::string_view rest = *entry;
    if (!rest.starts_with(kVariable)) continue;
    rest.remove_prefix(kVariable.size());
    for (;;) {
      const std::size_t end = rest.find(',');
      if (rest.substr(0, end) == name) return true;
      if (end == std::string_view::npos) return false;
      rest.remove_prefix(end + 1);
    }
  }
  return false;
}

}  // namespace stave

/// Whether this process has the defect `name`. It is asked for once at each place.
#define STAVE_MUTANT(name)                                       \
  ([] {                                                          \
    static const bool chosen = ::stave::is_chosen_mutant(#name); \
    return chosen;                                               \
  }())
#else
#define STAVE_MUTANT(name) false
#endif
