// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// sigsegv handled|native: who gets a SIGSEGV. With handle_sigsegv a touch of freed memory of the allocator's ends by
// SIGABRT with a report, without by SIGSEGV. Everything else ends as if the allocator had no handler, and a handler of
// the program's own has the first word. Each case is a child.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "conformance.hpp"

namespace {

using conformance::opaque;

constexpr int kOwn = 42;  // how a child ends that its own handler ended

struct End {
  int code;     // the exit code, or minus the signal
  bool report;  // something was said
};

template <class Body>
End end_of(Body body) {
  int out[2];
  REQUIRE(pipe(out) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    dup2(out[1], STDERR_FILENO);
    body();
    _exit(0);
  }
  close(out[1]);
  char text[4096];
  size_t size = 0;
  for (ssize_t got = 1; got > 0; size += static_cast<size_t>(got > 0 ? got : 0)) {
    got = read(out[0], text, sizeof text);
  }
  close(out[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return {WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status), size != 0};
}

void touch(const void* address) {
  const volatile char* const byte = opaque(static_cast<const char*>(address));
  (void)*byte;
}

void touch_freed() {
  char* const block = opaque(static_cast<char*>(malloc(1 << 20)));
  memset(block, 1, 1 << 20);
  free(block);
  touch(block + 5000);
}

void touch_nothing() { touch(reinterpret_cast<const void*>(16)); }

void touch_forbidden() {
  void* page = nullptr;
  REQUIRE(posix_memalign(&page, 4096, 4096) == 0);
  REQUIRE(mprotect(page, 4096, PROT_NONE) == 0);
  touch(page);
}

struct sigaction g_before;

void end(int) { _exit(kOwn); }

void ask_who_was_before(int number, siginfo_t* info, void* context) {
  if ((g_before.sa_flags & SA_SIGINFO) != 0) return g_before.sa_sigaction(number, info, context);
  signal(SIGSEGV, SIG_DFL);
}

void install_own() { signal(SIGSEGV, end); }

void install_chained() {
  struct sigaction action {};
  action.sa_sigaction = ask_who_was_before;
  action.sa_flags = SA_SIGINFO;
  REQUIRE(sigaction(SIGSEGV, &action, &g_before) == 0);
}

void use_other_stack() {
  static char stack[16384];
  const stack_t other{stack, 0, sizeof stack};
  REQUIRE(sigaltstack(&other, nullptr) == 0);
}

[[gnu::noinline]] int deeper(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : deeper(depth + 1) + room[0];
}

void require_end(const char* what, End end, int code, bool report) {
  if (end.code == code && end.report == report) return;
  printf("%s: ended by %d, %s a report; expected %d\n", what, end.code, end.report ? "with" : "without", code);
  exit(1);
}

}  // namespace

int main(int count, char** arguments) {
  REQUIRE(count == 2);
  const bool handled = strcmp(arguments[1], "handled") == 0;
  const int touched = handled ? -SIGABRT : -SIGSEGV;
  require_end("freed", end_of(touch_freed), touched, handled);
  require_end("nothing", end_of(touch_nothing), -SIGSEGV, false);
  require_end("forbidden by the program", end_of(touch_forbidden), -SIGSEGV, false);
  require_end("raised", end_of([] { raise(SIGSEGV); }), -SIGSEGV, false);
  require_end("sent", end_of([] {
                kill(getpid(), SIGSEGV);
                pause();
              }),
              -SIGSEGV, false);

  const auto after = [](void (*install)(), void (*access)()) {
    return end_of([=] {
      install();
      access();
    });
  };
  require_end("own handler, freed", after(install_own, touch_freed), kOwn, false);
  require_end("own handler, nothing", after(install_own, touch_nothing), kOwn, false);
  require_end("chained, freed", after(install_chained, touch_freed), touched, handled);
  require_end("chained, nothing", after(install_chained, touch_nothing), -SIGSEGV, false);
  require_end("other stack, freed", after(use_other_stack, touch_freed), touched, handled);
  require_end("other stack, nothing", after(use_other_stack, touch_nothing), -SIGSEGV, false);
  require_end("other stack, too deep", after(use_other_stack, [] { deeper(0); }), -SIGSEGV, false);
  require_end("too deep", end_of([] { deeper(0); }), -SIGSEGV, false);
  return 0;
}
