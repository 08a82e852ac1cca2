// FAULT: foreign-pointer
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// free of what glibc's own allocator handed out.
#include "misuse.hpp"

int main() {
  begin();
  auto* libc_malloc = symbol<void*(size_t)>("__libc_malloc");
  void* other = opaque(libc_malloc(kSmall));
  if (is_misuse()) {
    free(at(other));
  }
  keep(other);
  return survived();
}
