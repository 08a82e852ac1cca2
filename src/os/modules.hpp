// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which file an address of code comes from.
#pragma once

#include <cstdint>

#include "os/log.hpp"

namespace stave {

/// Appends "/bin/x+0x1234", what `addr2line -e /bin/x 0x1234` understands; nothing if no file is mapped there. Asks
/// /proc/self/maps anew, since the loader's own list is behind a lock. Not to be called by two threads at once.
///
/// \param maps  where the mappings are told, for tests. Any bytes may be there.
void append_module(std::uintptr_t address, TextBuffer& out, const char* maps = "/proc/self/maps");

}  // namespace stave
