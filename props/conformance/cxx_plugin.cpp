// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A library in C++ that a program in C loads: its operator new fails, throws, and is caught here.
#include <cstddef>
#include <new>

namespace {

int handler_calls;

void give_up() {
  ++handler_calls;
  std::set_new_handler(nullptr);
}

}  // namespace

/// \return the number of the first thing that is wrong; 0: none.
extern "C" int try_to_exhaust_memory() {
  volatile std::size_t most = std::size_t{1} << 62;
  std::set_new_handler(give_up);
  try {
    delete[] new char[most];
    return 1;
  } catch (const std::bad_alloc&) {
  }
  if (handler_calls != 1) return 2;
  try {
    ::operator delete (::operator new (most, std::align_val_t{256}), std::align_val_t{256});
    return 3;
  } catch (const std::bad_alloc&) {
  }
  return new (std::nothrow) char[most] == nullptr ? 0 : 4;
}
