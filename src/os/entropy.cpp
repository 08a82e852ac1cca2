// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/entropy.hpp"

#include <sys/auxv.h>

#include <cerrno>
#include <cstring>

#include "os/kernel.hpp"

namespace stave {

bool read_entropy(void* buffer, std::size_t bytes) {
  constexpr long kGrndNonblock = 1;  // a machine that has just started must not hang in its first malloc
  long got = 0;
  do {
    got = kernel::call(SYS_getrandom, kernel::as_word(buffer), static_cast<long>(bytes), kGrndNonblock);
  } while (got == -EINTR);
  if (got == static_cast<long>(bytes)) return true;
  // The auxiliary vector hands the address over as an integer.
  const auto* const at_random =
      reinterpret_cast<const unsigned char*>(getauxval(AT_RANDOM));  // NOLINT(performance-no-int-to-ptr)
  if (at_random == nullptr) return false;
  auto* const out = static_cast<unsigned char*>(buffer);
  for (std::size_t i = 0; i != bytes; ++i) out[i] = at_random[i % 16];
  return true;
}

}  // namespace stave
