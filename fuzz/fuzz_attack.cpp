// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs with a bug: misuse of one class, that of the first one in the input, amid legal operations. What is owed
// then is in props/aftermath.hpp. Without AddressSanitizer, which would find the misuse.
#include "fuzz/program_target.hpp"

namespace stave::fuzz {

using props::MisuseClass;

void Filter::prepare(props::Header& header) { header.misuse_allowed = true; }

bool Filter::lets(const props::Op& op) {
  const MisuseClass misuse = props::misuse_class(op.code);
  if (misuse == MisuseClass::none) return true;
  if (misuse == MisuseClass::metadata) return false;
  if (first == MisuseClass::none) first = misuse;
  return misuse == first;
}

}  // namespace stave::fuzz
