// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The targets whose inputs are programs of heap operations (props/ops.hpp), on a Stave instance. Any bytes are one;
// every property of props/run_program.hpp is checked. They differ in what they let through, which is each one's own
// file.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "fuzz/engine.hpp"
#include "fuzz/mutate.hpp"
#include "fuzz/program_target.hpp"
#include "props/stave_heap.hpp"

namespace {
using stave::fuzz::Filter;
stave::fuzz::ProgramTarget<stave::props::StaveHeap> g_target;
}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  g_target.run(
      data, size, [](stave::props::StaveHeap&) {}, Filter());
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
  stave::fuzz::print_program<Filter>(data, size, as_c != 0);
}

/// A run of the engine ends with how much was done; standalone_main says so itself.
int LLVMFuzzerInitialize(int*, char***) {
  if (LLVMFuzzerMutate == nullptr) return 0;
  std::atexit([] {
    const stave::fuzz::Tally& tally = g_target.tally();
    const auto number = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
    std::fprintf(stderr,
                 "%llu programs of %llu records, %llu operations; misuse in %llu, of which %llu died by its name; "
                 "%llu operations were interrupted, %llu programs had ten or more\n",
                 number(tally.programs), number(tally.records), number(tally.requests), number(tally.attacked),
                 number(tally.deaths), number(tally.interruptions), number(tally.long_ones));
    for (const stave::fuzz::Outcomes::Entry& entry : tally.outcomes.entries()) {
      if (entry.programs == 0) break;
      std::fprintf(stderr, "outcome of %s: %s %llu\n", stave::props::op_name(entry.misuse), entry.end,
                   number(entry.programs));
    }
  });
  return 0;
}

std::uint64_t stave_fuzzer_operations() { return g_target.tally().requests; }
