// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once

#include <cstdint>

namespace stave {

/// A pair of secrets for one kind of tag.
struct Key {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
};

/// All secrets of an allocator. Read-only once it has started; shared with forked siblings.
struct Keys {
  Key bitmap;  ///< guard words of bitmaps
  Key header;  ///< seals of chunk headers
  Key record;  ///< seals of large-block records
};

}  // namespace stave
