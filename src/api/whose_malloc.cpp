// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Says, when asked, that the program's malloc is not ours: it defines its own, as programs with a sanitizer or a linked
// allocator do, or another preloaded library came first. Stave is loaded then, and protects nothing.
#include <dlfcn.h>

#include "heap/process.hpp"
#include "os/log.hpp"

namespace {

// After the process has started and chosen its log.
[[gnu::constructor(102)]] void say_whose_malloc() {
  if (stave::g_process.constants.options.verbose == 0) return;
  Dl_info theirs{};
  Dl_info ours{};
  for (const char* const name : {"malloc", "free"}) {
    if (dladdr(dlsym(RTLD_DEFAULT, name), &theirs) == 0 || dladdr(&stave::g_process, &ours) == 0) continue;
    if (theirs.dli_fbase == ours.dli_fbase) continue;
    char storage[512];
    stave::TextBuffer out(storage, sizeof storage);
    out.text(name).text(" of this program is not Stave's, which protects nothing of it: it comes from ");
    stave::notice(out.data(), theirs.dli_fname);
  }
}

}  // namespace
