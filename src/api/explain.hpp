// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What Stave knows of an address that AddressSanitizer reports. In ordinary builds there is nothing of it.
#pragma once

#include "heap/instance.hpp"

namespace stave {

#if defined(STAVE_SANITIZERS)
void explain_from_now_on(const Instance* heap);
/// pre: the heap is still there.
void explain_no_more(const Instance* heap);
#else
inline void explain_from_now_on(const Instance*) {}
inline void explain_no_more(const Instance*) {}
#endif

}  // namespace stave
