// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For programs under a kernel that refuses something.
#pragma once

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "misuse.hpp"

namespace misuse {

/// From now on, also after exec, the system call fails with `error`.
inline void refuse(unsigned number, unsigned error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof filter / sizeof filter[0], filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    _exit(kNoMemory);
  }
}

/// Whether a call with no arguments fails with ENOSYS.
[[nodiscard]] inline bool is_refused(long number) { return syscall(number, 0, 0, 0) == -1 && errno == ENOSYS; }

}  // namespace misuse
