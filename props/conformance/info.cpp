// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints malloc_info to standard output and malloc_stats to standard error, for check.py to read.
#include "conformance.hpp"

int main() {
  conformance::begin();
  void* pointers[1000];
  for (size_t i = 0; i != 1000; ++i) pointers[i] = conformance::opaque(malloc(i * 100));
  REQUIRE(malloc_info(1, stdout) != 0);  // options must be 0
  REQUIRE(malloc_info(0, stdout) == 0);
  fflush(stdout);
  malloc_stats();
  for (void* const pointer : pointers) free(pointer);
  return 0;
}
