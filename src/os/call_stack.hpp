// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The calls that led to an allocation: along frame pointers, without an unwinder and without allocation.
#pragma once

#include "base/fault.hpp"

namespace stave {

/// Notes the calling thread, and the return addresses from a frame on. Code without frame pointers ends the list early,
/// or adds an address to it that is none; it never makes this read what cannot be read.
/// \param frame  __builtin_frame_address(0) of a function that is active
void take_calls(const void* frame, CallStack& calls);
/// The same from where a signal found the thread: `context` is the handler's.
void take_interrupted_calls(const void* context, CallStack& calls);

}  // namespace stave
