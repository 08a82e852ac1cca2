// FAULT: corrupt-record
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The record of a freed large block is overwritten; seen when its address space is given back.
#include "internals.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  stave::LargeRecord& record = record_of(block);
  free(block);
  if (is_misuse()) {
    record.mapping_bytes += 65536;
    keep(at(&record));
    malloc_trim(0);
  }
  keep(&record);
  return survived();
}
