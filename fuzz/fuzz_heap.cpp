// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Any bytes are a program of heap operations (props/ops.hpp); it runs on a Stave instance beside the model, and every
// property of props/run_program.hpp is checked.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "fuzz/flat_model.hpp"
#include "fuzz/mutate.hpp"
#include "props/ops.hpp"
#include "props/run_program.hpp"
#include "props/stave_heap.hpp"

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed);
std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* first, std::size_t first_size, const std::uint8_t* second,
                                      std::size_t second_size, std::uint8_t* out, std::size_t max_size, unsigned seed);
/// The engine's; absent from replaying builds.
[[gnu::weak]] std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
/// Asked for by standalone_main's --print.
void stave_fuzzer_print(const std::uint8_t* data, std::size_t size, int as_c);
/// Allocations, frees and resizes since the start, for standalone_main's summary.
std::uint64_t stave_fuzzer_operations();
int LLVMFuzzerInitialize(int* argc, char*** argv);
}

namespace stave::fuzz {
namespace {

using props::Header;
using props::StaveHeap;

/// Beyond it a program only takes time.
constexpr std::size_t kMostOps = 1024;

using HeapRunner = props::Runner<StaveHeap, FlatModel>;

std::uint64_t g_operations = 0;

/// One instance for each setup that differs in more than the seed, made at first use and then only reset: the pages
/// and guards of an instance are laid once.
struct Place {
  StaveHeap heap;
  HeapRunner runner;

  explicit Place(const Header& header)
      : heap([&] {
          props::HeapSetup setup = props::setup_for(header);
          setup.threads = props::kMaxThreads;
          return setup;
        }()),
        runner(heap, props::stave_sizes(), props::Thoroughness::sampled) {}
};

Place& place_for(const Header& header) {
  static Place* places[32];
  const unsigned index = header.profile | (header.guard_by_protect ? 4U : 0U) | (header.tight_region ? 8U : 0U) |
                         (header.threads_borrow ? 16U : 0U);
  if (places[index] == nullptr) places[index] = new Place(header);
  return *places[index];
}

[[noreturn]] void report(const std::uint8_t* data, std::size_t size, const props::Failure& failure) {
  const props::Program program = props::decode(data, size);
  std::fprintf(stderr, "%sfailed at %u: %s: %s (%p)\n", props::to_text(program, props::stave_sizes()).c_str(),
               failure.op, failure.rule, failure.detail, failure.address);
  std::abort();
}

}  // namespace
}  // namespace stave::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stave;
  const props::Header header = props::decode_header(data, size);
  fuzz::Place& place = fuzz::place_for(header);
  place.heap.reset(header.seed);
  fuzz::HeapRunner& runner = place.runner;
  const std::uint64_t requests_before = runner.requests();
  runner.begin(header);
  const std::size_t count = std::min(props::op_count(size), fuzz::kMostOps);
  for (std::size_t i = 0; i < count && !runner.done(); ++i) {
    runner.step(props::decode_op(header, data + (i + 1) * props::kRecordBytes));
  }
  runner.finish();
  fuzz::g_operations += runner.requests() - requests_before;
  if (runner.failure()) fuzz::report(data, size, runner.failure());
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  return stave::fuzz::mutate_program(data, size, max_size, seed, LLVMFuzzerMutate);
}

std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* first, std::size_t first_size, const std::uint8_t* second,
                                      std::size_t second_size, std::uint8_t* out, std::size_t max_size, unsigned seed) {
  return stave::fuzz::cross_over_programs(first, first_size, second, second_size, out, max_size, seed);
}

void stave_fuzzer_print(const std::uint8_t* data, std::size_t size, int as_c) {
  using namespace stave;
  const props::Program program = props::decode(data, size);
  const props::SizeTable& sizes = props::stave_sizes();
  std::fputs((as_c != 0 ? props::to_c(program, sizes) : props::to_text(program, sizes)).c_str(), stdout);
}

/// A run of the engine ends with how much was done; standalone_main says so itself.
int LLVMFuzzerInitialize(int*, char***) {
  if (LLVMFuzzerMutate != nullptr) {
    std::atexit(
        [] { std::fprintf(stderr, "%llu operations\n", static_cast<unsigned long long>(stave_fuzzer_operations())); });
  }
  return 0;
}

std::uint64_t stave_fuzzer_operations() { return stave::fuzz::g_operations; }
