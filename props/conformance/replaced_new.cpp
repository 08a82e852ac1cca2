// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A program that replaces operator new and delete, and none of the other forms: the standard has all others but the
// aligned ones call these two.
#include <new>
#include <string>
#include <vector>

#include "conformance.hpp"

namespace {

using conformance::opaque;

constexpr std::size_t kHeader = 16;  // what these hand out is no pointer for free
const std::size_t kTooMuch = opaque(std::size_t{1} << 62);

int g_live = 0;
int g_made = 0;

}  // namespace

void* operator new(std::size_t size) {
  auto* const memory = size < kTooMuch ? static_cast<char*>(std::malloc(size + kHeader)) : nullptr;
  if (memory == nullptr) throw std::bad_alloc();
  ++g_live;
  ++g_made;
  return memory + kHeader;
}

void operator delete(void* pointer) noexcept {
  if (pointer == nullptr) return;
  --g_live;
  std::free(static_cast<char*>(pointer) - kHeader);
}

int main() {
  conformance::begin();
  ::operator delete(opaque(::operator new(9)), 9);
  ::operator delete(opaque(::operator new(9, std::nothrow)), std::nothrow);
  ::operator delete[](opaque(::operator new[](9)));
  ::operator delete[](opaque(::operator new[](9)), 9);
  ::operator delete[](opaque(::operator new[](9, std::nothrow)), std::nothrow);
  REQUIRE(g_made == 5);
  REQUIRE(g_live == 0);

  REQUIRE(::operator new(kTooMuch, std::nothrow) == nullptr);
  REQUIRE(::operator new[](kTooMuch, std::nothrow) == nullptr);
  bool thrown = false;
  try {
    (void)opaque(::operator new[](kTooMuch));
  } catch (const std::bad_alloc&) {
    thrown = true;
  }
  REQUIRE(thrown);

  // As libraries do that were compiled elsewhere.
  {
    std::vector<std::string> strings;
    for (std::size_t length = 0; length != 200; ++length) strings.emplace_back(length, 'x');
    REQUIRE(g_live > 100);
  }
  REQUIRE(g_live == 0);

  // Not replaced, and no less a pair for it.
  void* const aligned = opaque(::operator new[](100, std::align_val_t{256}));
  ::operator delete[](aligned, 100, std::align_val_t{256});
  REQUIRE(g_live == 0);
  return 0;
}
