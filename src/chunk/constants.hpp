// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an allocator decides at its start and never changes: it lies on pages of its own, which are then read-only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/fault.hpp"
#include "chunk/contents.hpp"
#include "chunk/size_class.hpp"
#include "policy/keys.hpp"
#include "policy/options.hpp"
#include "policy/random.hpp"

namespace stave {

/// Zero at first, as all of an allocator: the process's, of 100 KiB, then lies in memory that no file fills.
struct Constants {
  ClassShapes shapes;
  std::uint8_t holds[kClassCount] = {};       ///< of each class: so many slots of a word stay held when it is refilled
  std::uint8_t few[kClassCount] = {};         ///< of each class: fewer candidates are no choice
  std::uint16_t usable_at[kClassCount] = {};  ///< of each class: a chunk with so many slots available has some to offer
  std::size_t page = 0;
  Keys keys;
  Options options = kNoOptions;
  /// nullptr: report on descriptor 2 and abort.
  void (*on_fault)(void* context, const FaultRecord& record) = nullptr;
  void (*on_yield)(void* context, const char* point) = nullptr;
  void* context = nullptr;
  /// Read by each call: on a line that has nothing to do with what each call stores (heap/thread_heap.hpp).
  alignas(64) ContentRules contents;

  /// Fills in all that follows from the options and the page size.
  void derive();

  /// Draws all secrets.
  void draw_keys(Random& random);

  /// Ends the process, or hands over to on_fault, which does not return.
  [[noreturn]] STAVE_COLD void die(const FaultRecord& record) const;
};

}  // namespace stave
