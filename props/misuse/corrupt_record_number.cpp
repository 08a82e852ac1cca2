// FAULT: corrupt-record
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The registry names a record that does not exist.
#include "internals.hpp"

int main() {
  begin();
  char* block = take(kLarge);
  if (is_misuse()) {
    stave::g_process.arena.registry.set(reinterpret_cast<uintptr_t>(block), stave::RegistryEntry::of_large(4000));
    free(at(block));
  }
  keep(block);
  return survived();
}
