// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A program of heap operations (props/ops.hpp), without misuse, on a Stave instance and on the C library's malloc: the
// answers are the same, but for what fuzz/pair_heap.hpp lists. fuzz_heap holds the instance against what the harness
// says that malloc owes; here the C library says it.
//
// Inputs are those of fuzz_heap: either corpus serves.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "fuzz/engine.hpp"
#include "fuzz/mutate.hpp"
#include "fuzz/pair_heap.hpp"
#include "fuzz/program_target.hpp"

namespace {
stave::fuzz::ProgramTarget<stave::fuzz::PairHeap> g_target;
}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  g_target.run(data, size, [](stave::fuzz::PairHeap&) {});
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
  stave::fuzz::print_program(data, size, as_c != 0);
}

/// A run of the engine ends with how much was done; standalone_main says so itself.
int LLVMFuzzerInitialize(int*, char***) {
  if (LLVMFuzzerMutate != nullptr) {
    std::atexit(
        [] { std::fprintf(stderr, "%llu operations\n", static_cast<unsigned long long>(g_target.tally().requests)); });
  }
  return 0;
}

std::uint64_t stave_fuzzer_operations() { return g_target.tally().requests; }
