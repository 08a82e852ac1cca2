// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A program that replaces the aligned operator new and delete, and none of the other forms: the standard has all other
// aligned ones call these two, and none without an alignment.
#include <new>

#include "conformance.hpp"

namespace {

using conformance::opaque;

constexpr std::align_val_t kPage{4096};
const std::size_t kTooMuch = opaque(std::size_t{1} << 62);

int g_live = 0;
int g_made = 0;

}  // namespace

// What these hand out is no pointer for free: it is an alignment behind one.
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto front = static_cast<std::size_t>(alignment);
  auto* const memory = size < kTooMuch ? static_cast<char*>(std::aligned_alloc(front, front + size)) : nullptr;
  if (memory == nullptr) throw std::bad_alloc();
  ++g_live;
  ++g_made;
  return memory + front;
}

void operator delete(void* pointer, std::align_val_t alignment) noexcept {
  if (pointer == nullptr) return;
  --g_live;
  std::free(static_cast<char*>(pointer) - static_cast<std::size_t>(alignment));
}

int main() {
  conformance::begin();
  ::operator delete(opaque(::operator new(9, kPage)), 9, kPage);
  ::operator delete(opaque(::operator new(9, kPage, std::nothrow)), kPage, std::nothrow);
  ::operator delete[](opaque(::operator new[](9, kPage)), kPage);
  ::operator delete[](opaque(::operator new[](9, kPage)), 9, kPage);
  ::operator delete[](opaque(::operator new[](9, kPage, std::nothrow)), kPage, std::nothrow);
  REQUIRE(g_made == 5);
  REQUIRE(g_live == 0);

  REQUIRE(::operator new(kTooMuch, kPage, std::nothrow) == nullptr);
  REQUIRE(::operator new[](kTooMuch, kPage, std::nothrow) == nullptr);
  bool thrown = false;
  try {
    (void)opaque(::operator new[](kTooMuch, kPage));
  } catch (const std::bad_alloc&) {
    thrown = true;
  }
  REQUIRE(thrown);

  // As a type that asks for it does.
  struct alignas(4096) Page {
    char bytes[4096];
  };
  Page* const pages = opaque(new Page[3]);
  REQUIRE(reinterpret_cast<uintptr_t>(pages) % 4096 == 0);
  REQUIRE(g_live == 1);
  delete[] pages;
  REQUIRE(g_live == 0);

  // Not replaced, and no less a pair for it.
  ::operator delete(opaque(::operator new(100)), 100);
  ::operator delete[](opaque(::operator new[](100)), 100);
  REQUIRE(g_made == 6);
  REQUIRE(g_live == 0);
  return 0;
}
