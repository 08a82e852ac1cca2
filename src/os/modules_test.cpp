// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/modules.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/bits.hpp"

namespace stave {
namespace {

std::string module_of(const void* address) {
  char storage[512];
  TextBuffer out(storage, sizeof storage);
  append_module(address_of(address), out);
  return out.data();
}

/// What the loader says: name and offset.
std::string expected(const void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0) return "";
  char path[512] = {};
  if (realpath(info.dli_fname, path) == nullptr) return "";
  char text[1024];
  std::snprintf(text, sizeof text, "%s+0x%zx", path, address_of(address) - address_of(info.dli_fbase));
  return text;
}

TEST(Module, of_code_is_its_file_and_the_offset_that_addr2line_takes) {
  const auto* const own = reinterpret_cast<const void*>(&module_of);
  EXPECT_EQ(module_of(own), expected(own));
  const auto* const libc = dlsym(RTLD_DEFAULT, "getpid");
  EXPECT_EQ(module_of(libc), expected(libc));
}

TEST(Module, of_memory_without_a_file_is_empty) {
  void* const page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_EQ(module_of(page), "");
  EXPECT_EQ(module_of(nullptr), "");
  munmap(page, 4096);
}

TEST(Module, is_found_behind_lines_that_are_longer_than_the_room) {
  // A file whose path needs more than one line's room, if the system allows that, and many short lines.
  const auto* const libc = dlsym(RTLD_DEFAULT, "getpid");
  const auto* const own = reinterpret_cast<const void*>(&module_of);
  const std::string of_libc = expected(libc);
  const std::string of_own = expected(own);
  std::string name = testing::TempDir();
  if (chdir(name.c_str()) != 0) GTEST_SKIP();
  const std::string part(200, 'x');
  int depth = 0;
  while (depth != 14 && mkdir(part.c_str(), 0700) == 0 && chdir(part.c_str()) == 0) ++depth;
  FILE* const file = std::fopen("file", "w+");
  ASSERT_NE(file, nullptr);
  std::fputs("text", file);
  std::fflush(file);
  void* const mapped = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fileno(file), 0);
  EXPECT_NE(mapped, MAP_FAILED);
  EXPECT_EQ(module_of(mapped).substr(0, 1), "/");
  EXPECT_EQ(module_of(libc), of_libc);
  EXPECT_EQ(module_of(own), of_own);
  munmap(mapped, 4096);
  std::fclose(file);
  (void)unlink("file");
  while (depth-- > 0 && chdir("..") == 0) (void)rmdir(part.c_str());
}

}  // namespace
}  // namespace stave
