// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bits of what is the allocator's own change under its feet, amid legal operations. Without AddressSanitizer, which
// knows that nobody may write there.
#include <algorithm>
#include <cstdint>

#include "fuzz/program_target.hpp"

namespace stave::fuzz {

using props::MisuseClass;

void Filter::prepare(props::Header& header) {
  header.version = std::max<std::uint8_t>(header.version, 2);  // the first that has flips
  header.misuse_allowed = true;
}

bool Filter::lets(const props::Op& op) {
  const MisuseClass misuse = props::misuse_class(op.code);
  return misuse == MisuseClass::none || misuse == MisuseClass::metadata;
}

}  // namespace stave::fuzz
