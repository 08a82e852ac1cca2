// FAULT: corrupt-record
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The record of no large block is overwritten; seen when the next block takes it.
#include "internals.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  stave::LargeRecord& record = record_of(block);
  free(block);
  malloc_trim(0);
  if (is_misuse()) {
    record.base = 4096;
    keep(at(&record));
    keep(take(kLarge));
  }
  keep(&record);
  return survived();
}
