// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Legal programs, and misuse that ends them. Under AddressSanitizer what is not the program's is poisoned to the byte.
#include "fuzz/program_target.hpp"

namespace stave::fuzz {

void Filter::prepare(props::Header&) {}
bool Filter::lets(const props::Op& op) { return !props::is_attack(op.code); }

}  // namespace stave::fuzz
