// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every operator new and delete, in a C++ program with its own C++ runtime.
#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "conformance.hpp"

namespace {

using conformance::opaque;

constexpr std::align_val_t kAligned{256};
const std::size_t kTooMuch = opaque(std::size_t{1} << 62);

bool aligned(const void* pointer, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(pointer) % alignment == 0;
}

TEST(New, every_form_gives_memory_that_its_delete_takes) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{40000}, std::size_t{1} << 20}) {
    void* pointer = opaque(::operator new(size));
    ASSERT_NE(pointer, nullptr);
    ::operator delete(pointer);
    ::operator delete(opaque(::operator new(size)), size);
    ::operator delete(opaque(::operator new(size)), std::nothrow);
    ::operator delete[](opaque(::operator new[](size)));
    ::operator delete[](opaque(::operator new[](size)), size);
    ::operator delete[](opaque(::operator new[](size)), std::nothrow);
    ::operator delete(opaque(::operator new(size, std::nothrow)));
    ::operator delete[](opaque(::operator new[](size, std::nothrow)));

    pointer = opaque(::operator new(size, kAligned));
    EXPECT_TRUE(aligned(pointer, 256));
    ::operator delete(pointer, kAligned);
    ::operator delete(opaque(::operator new(size, kAligned)), size, kAligned);
    ::operator delete(opaque(::operator new(size, kAligned)), kAligned, std::nothrow);
    pointer = opaque(::operator new[](size, kAligned));
    EXPECT_TRUE(aligned(pointer, 256));
    ::operator delete[](pointer, kAligned);
    ::operator delete[](opaque(::operator new[](size, kAligned)), size, kAligned);
    ::operator delete[](opaque(::operator new[](size, kAligned)), kAligned, std::nothrow);
    ::operator delete(opaque(::operator new(size, kAligned, std::nothrow)), kAligned);
    ::operator delete[](opaque(::operator new[](size, kAligned, std::nothrow)), kAligned);
  }
}

TEST(New, of_zero_is_unique) {
  void* const a = opaque(::operator new(0));
  void* const b = opaque(::operator new(0));
  EXPECT_NE(a, b);
  ::operator delete(a);
  ::operator delete(b);
}

TEST(Delete, accepts_null) {
  void* const null = opaque(static_cast<void*>(nullptr));
  ::operator delete(null);
  ::operator delete[](null);
  ::operator delete (null, std::size_t{8});
  ::operator delete(null, kAligned);
  ::operator delete(null, std::nothrow);
}

TEST(New, throws_bad_alloc_when_memory_is_out) {
  EXPECT_THROW((void)opaque(::operator new(kTooMuch)), std::bad_alloc);
  EXPECT_THROW((void)opaque(::operator new[](kTooMuch)), std::bad_alloc);
  EXPECT_THROW((void)opaque(::operator new(kTooMuch, kAligned)), std::bad_alloc);
  EXPECT_THROW((void)opaque(::operator new[](kTooMuch, kAligned)), std::bad_alloc);
  EXPECT_THROW((void)std::vector<char>(std::size_t{1} << 62), std::bad_alloc);
  try {
    (void)opaque(::operator new(kTooMuch));
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("bad_alloc"), std::string::npos);
  }
}

TEST(New, nothrow_gives_null_when_memory_is_out) {
  EXPECT_EQ(opaque(::operator new(kTooMuch, std::nothrow)), nullptr);
  EXPECT_EQ(opaque(::operator new[](kTooMuch, std::nothrow)), nullptr);
  EXPECT_EQ(opaque(::operator new(kTooMuch, kAligned, std::nothrow)), nullptr);
  EXPECT_EQ(opaque(::operator new[](kTooMuch, kAligned, std::nothrow)), nullptr);
}

int g_handled = 0;

TEST(NewHandler, is_called_until_it_gives_up) {
  g_handled = 0;
  std::set_new_handler([] {
    if (++g_handled == 3) std::set_new_handler(nullptr);
  });
  EXPECT_THROW((void)opaque(::operator new(kTooMuch)), std::bad_alloc);
  EXPECT_EQ(g_handled, 3);

  g_handled = 0;
  std::set_new_handler([] {
    if (++g_handled == 2) std::set_new_handler(nullptr);
  });
  EXPECT_EQ(opaque(::operator new(kTooMuch, std::nothrow)), nullptr);
  EXPECT_EQ(g_handled, 2);
  std::set_new_handler(nullptr);
}

TEST(NewHandler, may_throw_through) {
  std::set_new_handler([] { throw std::runtime_error("handler"); });
  EXPECT_THROW((void)opaque(::operator new(kTooMuch)), std::runtime_error);
  std::set_new_handler(nullptr);
}

TEST(NewHandler, that_throws_makes_nothrow_give_null) {
  std::set_new_handler([] { throw std::bad_alloc(); });
  EXPECT_EQ(opaque(::operator new(kTooMuch, std::nothrow)), nullptr);
  std::set_new_handler(nullptr);
}

TEST(Exceptions, allocate_and_free_as_they_please) {
  for (int i = 0; i != 1000; ++i) {
    try {
      throw std::runtime_error(std::string(100, 'x'));
    } catch (const std::runtime_error& error) {
      ASSERT_EQ(std::string(error.what()).size(), 100U);
    }
  }
}

struct alignas(128) Wide {
  char bytes[200];
};

TEST(New, over_aligned_types_by_smart_pointers) {
  std::vector<std::unique_ptr<Wide>> objects;
  for (int i = 0; i != 500; ++i) {
    objects.push_back(std::make_unique<Wide>());
    ASSERT_TRUE(aligned(objects.back().get(), 128));
  }
  const std::unique_ptr<Wide[]> array(new Wide[100]);
  EXPECT_TRUE(aligned(array.get(), 128));
}

}  // namespace

int main(int argc, char** argv) {
  conformance::begin();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
