// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs of heap operations (props/ops.hpp) in which any call to the kernel may fail. In front of a program stand
// eight bytes, little-endian:
//
//   | skip: 2 bytes | pattern: 6 bytes |
//
// `skip` calls of the instance, of whatever kind, succeed; the next one fails; and of the 48 behind it those whose bit
// of the pattern is set. A program's own failures come on top. Every property of props/run_program.hpp holds: what is
// refused has a reason, everything else is served, nothing is lost, and at the end all is given back.
//
// fuzz_heap, too, lets calls fail, but by kind: every n-th mapping, the next two unmaps. It does not reach one exact
// place in the middle of an operation, nor a failure of one call and then of the call that would undo what was done
// before, which is of another kind. Here each place has its `skip`. Misuse is left to fuzz_heap.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fuzz/engine.hpp"
#include "fuzz/mutate.hpp"
#include "fuzz/program_target.hpp"
#include "props/stave_heap.hpp"

namespace stave::fuzz {
namespace {

constexpr std::size_t kPlanBytes = 8;

/// Which calls fail.
struct Plan {
  std::uint64_t skip;
  std::uint64_t pattern;  ///< of the call behind `skip`, which always fails, and of those that follow
};

Plan decode_plan(const std::uint8_t* data, std::size_t size) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i != std::min(size, kPlanBytes); ++i) word |= std::uint64_t{data[i]} << 8 * i;
  return {.skip = word & 0xFFFFU, .pattern = word >> 16U << 1U | 1U};
}

ProgramTarget<props::StaveHeap> g_target;

}  // namespace
}  // namespace stave::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stave::fuzz;
  const Plan plan = decode_plan(data, size);
  const std::size_t plan_bytes = std::min(size, kPlanBytes);
  g_target.run(data + plan_bytes, size - plan_bytes,
               [&](stave::props::StaveHeap& heap) { heap.failures().plan_pattern(plan.skip, plan.pattern); });
  return 0;
}

/// Changes the program, or else where calls begin to fail, most often early on, or which.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  using namespace stave::fuzz;
  if (max_size < kPlanBytes) return size;
  if (size < kPlanBytes) {
    std::memset(data + size, 0, kPlanBytes - size);
    size = kPlanBytes;
  }
  if (seed % 4 != 0) {
    return kPlanBytes +
           mutate_program(data + kPlanBytes, size - kPlanBytes, max_size - kPlanBytes, seed / 4, LLVMFuzzerMutate);
  }
  const unsigned dice = seed / 4;
  if (dice % 2 == 0) {
    const unsigned bits = dice / 2 % 13;
    const unsigned skip = (dice >> 6U) & ((1U << bits) - 1);
    data[0] = static_cast<std::uint8_t>(skip);
    data[1] = static_cast<std::uint8_t>(skip >> 8U);
  } else {
    data[2 + dice / 2 % 6] ^= static_cast<std::uint8_t>(dice >> 8U);
  }
  return size;
}

std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* first, std::size_t first_size, const std::uint8_t* second,
                                      std::size_t second_size, std::uint8_t* out, std::size_t max_size, unsigned seed) {
  using namespace stave::fuzz;
  if (first_size < kPlanBytes || second_size < kPlanBytes || max_size < kPlanBytes) return 0;
  std::memcpy(out, seed % 2 == 0 ? first : second, kPlanBytes);
  return kPlanBytes + cross_over_programs(first + kPlanBytes, first_size - kPlanBytes, second + kPlanBytes,
                                          second_size - kPlanBytes, out + kPlanBytes, max_size - kPlanBytes, seed / 2);
}

void stave_fuzzer_print(const std::uint8_t* data, std::size_t size, int as_c) {
  using namespace stave;
  const fuzz::Plan plan = fuzz::decode_plan(data, size);
  const std::size_t plan_bytes = std::min(size, fuzz::kPlanBytes);
  std::printf("%s after %llu calls they fail by the bits of %#llx%s\n", as_c != 0 ? "/*" : "#",
              static_cast<unsigned long long>(plan.skip), static_cast<unsigned long long>(plan.pattern),
              as_c != 0 ? " */" : "");
  fuzz::print_program(data + plan_bytes, size - plan_bytes, as_c != 0);
}

/// A run of the engine ends with how much was done; standalone_main says so itself.
int LLVMFuzzerInitialize(int*, char***) {
  if (LLVMFuzzerMutate != nullptr) {
    std::atexit([] {
      std::fprintf(stderr, "%llu operations, %llu calls failed\n",
                   static_cast<unsigned long long>(stave::fuzz::g_target.tally().requests),
                   static_cast<unsigned long long>(stave::fuzz::g_target.tally().failures));
    });
  }
  return 0;
}

std::uint64_t stave_fuzzer_operations() { return stave::fuzz::g_target.tally().requests; }
