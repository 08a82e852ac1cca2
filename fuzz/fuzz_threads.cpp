// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs of several threads, which interrupt one another in the middle of the protocol between them, end there, and
// fork. Legal, but for frees that race: these die by name.
#include <algorithm>
#include <cstdint>

#include "fuzz/program_target.hpp"

namespace stave::fuzz {

using props::OpCode;

void Filter::prepare(props::Header& header) {
  header.version = std::max<std::uint8_t>(header.version, 3);
  header.threads = std::max<std::uint8_t>(header.threads, 3);
}

bool Filter::lets(const props::Op& op) { return !props::is_misuse(op.code) || op.code == OpCode::double_free_racing; }

}  // namespace stave::fuzz
