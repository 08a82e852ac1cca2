// FAULT: corrupt-record
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The seal in the record of a large block is overwritten; its free sees it.
#include "internals.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  stave::LargeRecord& record = record_of(block);
  if (is_misuse()) {
    record.seal ^= 1;
    free(at(block));
  }
  keep(&record);
  return survived();
}
