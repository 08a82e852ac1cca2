// FAULT: double-free
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Freed by a thread, and again by the destructor of its thread-specific key.
#include "misuse.hpp"

int main() {
  begin();
  pthread_key_t key;
  pthread_key_create(&key, [](void* slot) {
    free(slot);
    if (is_misuse()) {
      free(at(slot));
    }
  });
  on_a_thread_that_ends([key] { pthread_setspecific(key, take(kSmall)); });
  return survived();
}
