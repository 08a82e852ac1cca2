// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once

#include <cstdint>

namespace stave {

/// The four named sets of protections: `profile=light|default|strict|fuzz`. (`default` is a keyword of the language.)
enum class Profile : std::uint8_t { light, standard, strict, fuzz };

}  // namespace stave
