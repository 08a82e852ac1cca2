// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The programs of a target on malloc of libstave.so, as it is shipped: each input by a process of its own, with the
// options that its header means. Threads are threads, a fork is a fork, and what is misused ends the process by a
// report. Every property of props/run_program.hpp is checked, from outside.
//
// What only an instance can be asked is left out: calls to the kernel that fail and little address space, interruptions
// at yield points, and attacks, which go by where things lie.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fuzz/engine.hpp"
#include "fuzz/expect.hpp"
#include "fuzz/memory_file.hpp"
#include "fuzz/program_target.hpp"
#include "props/library_heap.hpp"

namespace stave::fuzz {
namespace {

/// Set, the input is run by this very process, with the options that it was started with.
constexpr const char* kAlone = "STAVE_REPLAY_ALONE";

unsigned long long g_left_out = 0;

struct Asked : Filter {
  void prepare(props::Header& header) {
    Filter::prepare(header);
    header.failures = {};
    header.tight_region = false;
  }
  [[nodiscard]] bool lets(const props::Op& op) {
    using props::OpCode;
    if (!Filter::lets(op)) return false;
    if (!props::is_attack(op.code) && op.code != OpCode::fail_next && op.code != OpCode::interleave) return true;
    ++g_left_out;
    return false;
  }
};

/// What the process that ran an input says at its end.
struct Outcome {
  unsigned long long records = 0;
  unsigned long long requests = 0;
  unsigned long long left_out = 0;
  char fault[32] = "";
};
constexpr const char* kOutcome = "records, requests, left out, ended by";
constexpr const char* kItself = "itself";

[[noreturn]] void play(const std::uint8_t* data, std::size_t size) {
  ProgramTarget<props::LibraryHeap, props::Thoroughness::every_op> target;
  props::LibraryHeap* heap = nullptr;
  target.run(
      data, size, [&](props::LibraryHeap& made) { heap = &made; }, Asked());
  const char* const fault = heap->fault();
  const Tally& tally = target.tally();
  std::printf("%s: %llu %llu %llu %s\n", kOutcome, static_cast<unsigned long long>(tally.records),
              static_cast<unsigned long long>(tally.requests), g_left_out, fault != nullptr ? fault : kItself);
  std::fflush(stdout);
  if (fault != nullptr) heap->die();
  _exit(0);
}

std::string options_of(props::Header header) {
  Asked().prepare(header);
  constexpr const char* kProfiles[] = {"light", "default", "strict", "fuzz"};
  std::string options = std::string("profile=") + kProfiles[header.profile];
  if (header.guard_by_protect) options += ":guard_advice=0";
  if (header.threads_borrow) options += ":own_heaps=0";
  if (header.profile == 3) options += ":seed=" + std::to_string(header.seed);
  return options;
}

struct Sum {
  unsigned long long requests = 0;
  unsigned long long left_out = 0;
  unsigned empty = 0;  ///< inputs of which nothing is left
  unsigned died = 0;
} g_sum;

void judge(int status, const std::string& said, const std::string& report) {
  const bool died = WIFSIGNALED(status);
  const int end = died ? WTERMSIG(status) : WEXITSTATUS(status);
  Outcome outcome;
  const std::size_t line = said.find(kOutcome);
  bool is_right = line != std::string::npos &&
                  std::sscanf(said.c_str() + line + std::strlen(kOutcome), ": %llu %llu %llu %31s", &outcome.records,
                              &outcome.requests, &outcome.left_out, outcome.fault) == 4;
  const std::string fault = outcome.fault;
  if (fault == kItself) {
    is_right = is_right && !died && end == 0 && report.empty();
  } else {
    is_right = is_right && died && end == SIGABRT && report.starts_with("stave: " + fault + ": ");
    ++g_sum.died;
  }
  if (!is_right) broken("%s %d: %s%s", died ? "died by signal" : "exited with", end, said.c_str(), report.c_str());
  g_sum.requests += outcome.requests;
  g_sum.left_out += outcome.left_out;
  if (outcome.records != 0) return;
  ++g_sum.empty;
  std::puts("  nothing of it can be asked of the library");
}

void replay(const std::uint8_t* data, std::size_t size) {
  const MemoryFile files[3];  // what it reads, says and reports
  files[0].hold({reinterpret_cast<const char*>(data), size});
  const std::string options = options_of(props::decode_header(data, size));
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i != 3; ++i) dup2(files[i].descriptor(), i);
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    setenv("STAVE_OPTIONS", options.c_str(), 1);
    setenv(kAlone, "1", 1);
    execl("/proc/self/exe", "replay", "/proc/self/fd/0", nullptr);
    _exit(127);
  }
  int status = 0;
  expect(child > 0 && waitpid(child, &status, 0) == child, "a process can be made");
  judge(status, files[1].contents(), files[2].contents());
}

}  // namespace
}  // namespace stave::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (std::getenv(stave::fuzz::kAlone) != nullptr) stave::fuzz::play(data, size);
  stave::fuzz::replay(data, size);
  return 0;
}

void stave_fuzzer_print(const std::uint8_t* data, std::size_t size, int as_c) {
  stave::fuzz::print_program<stave::fuzz::Asked>(data, size, as_c != 0);
}

int LLVMFuzzerInitialize(int*, char***) {
  std::atexit([] {
    const stave::fuzz::Sum& sum = stave::fuzz::g_sum;
    std::printf("%u died as they must; %llu operations were left out, and all of %u files\n", sum.died, sum.left_out,
                sum.empty);
    std::fflush(stdout);
    if (sum.requests == 0 && std::getenv(stave::fuzz::kAlone) == nullptr) _exit(1);  // an empty replay proves nothing
  });
  return 0;
}

std::uint64_t stave_fuzzer_operations() { return stave::fuzz::g_sum.requests; }
