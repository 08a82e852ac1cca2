// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Memory whose first and last byte lie beside pages without access: the core is compiled without AddressSanitizer's
// checks, and is caught leaving a buffer by the processor.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "fuzz/expect.hpp"

namespace stave::fuzz {

class Fenced {
 public:
  static constexpr std::size_t kRoom = std::size_t{64} << 10;

  Fenced() {
    void* const all = mmap(nullptr, kRoom + 2 * kFence, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) broken("no memory for a fenced buffer");
    first_ = static_cast<char*>(all) + kFence;
    if (mprotect(first_, kRoom, PROT_READ | PROT_WRITE) != 0) broken("a fenced buffer has no access");
  }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  ~Fenced() { munmap(first_ - kFence, kRoom + 2 * kFence); }

  /// `size` bytes, at most kRoom, in front of the upper fence.
  [[nodiscard]] char* high(std::size_t size) { return first_ + kRoom - size; }
  /// A copy of `text` behind the lower fence, or in front of the upper one.
  [[nodiscard]] std::string_view low_copy(std::string_view text) { return copy(first_, text); }
  [[nodiscard]] std::string_view high_copy(std::string_view text) { return copy(high(text.size()), text); }

 private:
  static constexpr std::size_t kFence = std::size_t{64} << 10;  // no machine's pages are larger

  static std::string_view copy(char* to, std::string_view text) {
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }

  char* first_;
};

}  // namespace stave::fuzz
