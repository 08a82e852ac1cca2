// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For tests: runs something in a child process and says how that ended.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <string>
#include <thread>

namespace stave::test {

/// Whether ThreadSanitizer watches, which is slow, and knows only the addresses that the kernel chooses by itself.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STAVE_TEST_TSAN 1
#endif
#endif
#if defined(STAVE_TEST_TSAN) || defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

/// Whether the tests run under qemu-user, which answers some calls in its own way.
#if defined(STAVE_TEST_EMULATED)
inline constexpr bool kEmulated = true;
#else
inline constexpr bool kEmulated = false;
#endif

/// Ends of a child, as child_end() gives them: an exit code, or minus the number of the signal that killed it.
inline constexpr int kSurvived = 0;

/// Runs `body` in a child whose signals have their defaults, so that no sanitizer's handler turns a death into
/// something else, and which dumps no core. Exits with 0 if the body returns.
template <class Body>
[[nodiscard]] int child_end(Body body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGTRAP}) std::signal(number, SIG_DFL);
    const rlimit none{0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    alarm(60);  // a child that hangs is a finding, not a hang of the test
    body();
    _exit(kSurvived);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return 255;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/// From now on a system call answers minus `error`, or 0, without being made: in this process alone, so in a child.
/// \return false if seccomp is not to be had.
[[nodiscard]] inline bool answer_call(unsigned number, unsigned error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = sizeof program / sizeof program[0], .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// How reading, or writing, the byte at `address` ends.
[[nodiscard]] inline int read_end(const void* address) {
  return child_end([=] { (void)*static_cast<const volatile char*>(address); });
}
[[nodiscard]] inline int write_end(void* address) {
  return child_end([=] { *static_cast<volatile char*>(address) = 1; });
}

/// What a child writes on descriptor 2, and how it ends.
struct Heard {
  std::string text;
  int end;
};

template <class Body>
[[nodiscard]] Heard hear(Body body) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return {"no pipe", 255};
  std::string text;
  std::thread reader([&] {
    char buffer[4096];
    for (ssize_t got = 0; (got = read(pipe_ends[0], buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<std::size_t>(got));
  });
  const int end = child_end([&] {
    dup2(pipe_ends[1], 2);
    body();
  });
  close(pipe_ends[1]);
  reader.join();
  close(pipe_ends[0]);
  return {text, end};
}

}  // namespace stave::test
