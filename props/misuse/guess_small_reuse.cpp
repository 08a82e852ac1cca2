// FAULT: missed
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every eighth allocation is freed. Are at least half of those slots what the next as many allocations get?
#include "misuse.hpp"

int main() {
  begin();
  constexpr int kCount = 4096, kEvery = 8;
  static char* taken[kCount];
  for (char*& slot : taken) slot = take(kSmall);
  for (int i = 0; i != kCount; i += kEvery) free(taken[i]);
  int right = 0;
  for (int i = 0; i != kCount; i += kEvery) {
    const char* slot = take(kSmall);
    for (int k = 0; k != kCount; k += kEvery) right += taken[k] == slot;
  }
  return guessed(right, kCount / kEvery / 2);
}
