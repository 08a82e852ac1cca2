// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For the .cpp files that define members of Allocator: each instantiates its own, for both kinds of storage.
#pragma once

/// LIST(S) explicitly instantiates members of Allocator<S>.
#define STAVE_INSTANTIATE(LIST) \
  LIST(ProcessStorage)          \
  LIST(InstanceStorage)         \
  static_assert(true)
