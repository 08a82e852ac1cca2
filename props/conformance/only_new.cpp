// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Linked statically: a program that has no use for a linker's archives but operator new. It must throw all the same,
// and what libc allocates for the program must be from Stave as well.
#include <cstdio>
#include <cstring>
#include <new>

#include "api/stave.h"

int main() {
  static volatile std::size_t too_much = std::size_t{1} << 60;
  try {
    char* volatile memory = new char[too_much];
    delete[] memory;
    std::puts("FAILED: nothing can be so large");
    return 1;
  } catch (const std::bad_alloc&) {
  }
  stave_bounds bounds{};
  if (stave_bounds_of(strdup("libc's"), &bounds) == 0) {
    std::puts("FAILED: libc allocates elsewhere");
    return 1;
  }
  return 0;
}
