// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an allocator decides at its start and never changes: it lies on pages of its own, which are then read-only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/fault.hpp"
#include "chunk/size_class.hpp"
#include "policy/keys.hpp"
#include "policy/options.hpp"

namespace stave {

struct Constants {
  Keys keys;
  ClassShapes shapes;
  std::uint8_t ring_masks[kClassCount] = {};    ///< length of each class's hold ring, less one
  std::uint16_t ring_offsets[kClassCount] = {};  ///< of each class's ring among a heap's rings
  std::uint32_t ring_total = 0;                  ///< slots of all rings of a heap
  std::size_t page = 4096;
  Options options;
  /// nullptr: report on descriptor 2 and abort.
  void (*on_fault)(void* context, const FaultRecord& record) = nullptr;
  void (*on_yield)(void* context, const char* point) = nullptr;
  void* context = nullptr;

  /// Fills in all that follows from the options and the page size.
  void derive();

  /// Ends the process, or hands over to on_fault, which does not return.
  [[noreturn]] STAVE_COLD void die(const FaultRecord& record) const;
};

}  // namespace stave
