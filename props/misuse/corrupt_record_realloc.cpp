// FAULT: corrupt-record
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The record of a large block is overwritten; realloc sees it.
#include "internals.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  stave::LargeRecord& record = record_of(block);
  if (is_misuse()) {
    record.usable += 4096;
    keep(realloc(at(block), 2 * kLarge));
  }
  keep(&record);
  return survived();
}
