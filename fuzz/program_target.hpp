// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs programs of the operation language, as bytes, on heaps of one kind.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "fuzz/flat_model.hpp"
#include "props/ops.hpp"
#include "props/run_program.hpp"
#include "props/stave_heap.hpp"

namespace stave::fuzz {

/// A program of legal use, whatever its header says of misuse.
[[nodiscard]] inline props::Header legal_header(const std::uint8_t* data, std::size_t size) {
  props::Header header = props::decode_header(data, size);
  header.misuse_allowed = false;
  return header;
}
[[nodiscard]] inline props::Program legal_program(const std::uint8_t* data, std::size_t size) {
  props::Program program{.header = legal_header(data, size), .ops = {}};
  for (std::size_t i = 1; i <= props::op_count(size); ++i) {
    program.ops.push_back(props::decode_op(program.header, data + i * props::kRecordBytes));
  }
  return program;
}

/// What standalone_main's --print and --print-c ask for.
inline void print_program(const std::uint8_t* data, std::size_t size, bool as_c) {
  const props::Program program = legal_program(data, size);
  const props::SizeTable& sizes = props::stave_sizes();
  std::fputs((as_c ? props::to_c(program, sizes) : props::to_text(program, sizes)).c_str(), stdout);
}

/// `H` has what props::StaveHeap has: made once of a setup, as new after a reset to a seed.
template <props::Heap H>
class ProgramTarget {
 public:
  /// Runs the program. `plan` may let calls of the heap fail, before its first operation.
  template <class Plan>
  void run(const std::uint8_t* data, std::size_t size, Plan&& plan) {
    const props::Header header = legal_header(data, size);
    Place& place = place_for(header);
    place.heap.reset(header.seed);
    const std::uint64_t requests_before = place.runner.requests();
    place.runner.begin(header);
    plan(place.heap);
    const std::size_t count = std::min(props::op_count(size), kMostOps);
    for (std::size_t i = 0; i < count && !place.runner.done(); ++i) {
      place.runner.step(props::decode_op(header, data + (i + 1) * props::kRecordBytes));
    }
    failures_ += place.heap.failures().injected();
    place.runner.finish();
    requests_ += place.runner.requests() - requests_before;
    if (!place.runner.failure()) return;
    const props::Failure& failure = place.runner.failure();
    std::fputs(props::to_text(legal_program(data, size), props::stave_sizes()).c_str(), stderr);
    std::fprintf(stderr, "failed at %u: %s: %s (%p)\n", failure.op, failure.rule, failure.detail, failure.address);
    std::abort();
  }

  /// Allocations, frees and resizes since the start, and the calls that failed on purpose.
  [[nodiscard]] std::uint64_t requests() const { return requests_; }
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  /// Beyond it a program only takes time.
  static constexpr std::size_t kMostOps = 1024;

  /// One for each setup that differs in more than the seed, made at first use: the pages and guards of an instance are
  /// laid once.
  struct Place {
    H heap;
    props::Runner<H, FlatModel> runner;

    explicit Place(const props::Header& header)
        : heap([&] {
            props::HeapSetup setup = props::setup_for(header);
            setup.threads = props::kMaxThreads;
            return setup;
          }()),
          runner(heap, props::stave_sizes(), props::Thoroughness::sampled) {}
  };

  Place& place_for(const props::Header& header) {
    const unsigned index = header.profile | (header.guard_by_protect ? 4U : 0U) | (header.tight_region ? 8U : 0U) |
                           (header.threads_borrow ? 16U : 0U);
    if (places_[index] == nullptr) places_[index] = new Place(header);
    return *places_[index];
  }

  Place* places_[32] = {};
  std::uint64_t requests_ = 0;
  std::uint64_t failures_ = 0;
};

}  // namespace stave::fuzz
