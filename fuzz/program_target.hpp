// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs programs of the operation language, as bytes, on heaps of one kind.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

#include "fuzz/flat_model.hpp"
#include "props/ops.hpp"
#include "props/run_program.hpp"
#include "props/stave_heap.hpp"

namespace stave::fuzz {

/// What of a program a target lets through. Each target whose inputs may have misuse defines the functions of its own.
struct Filter {
  /// Makes of an input's header what the target wants.
  void prepare(props::Header& header);
  /// Whether an operation is carried out.
  [[nodiscard]] bool lets(const props::Op& op);

  props::MisuseClass first = props::MisuseClass::none;  ///< of the misuse that was let through
};

/// Lets legal programs through.
struct Legal {
  void prepare(props::Header& header) { header.misuse_allowed = false; }
  [[nodiscard]] bool lets(const props::Op&) { return true; }
};

/// How programs ended, by the first act of misuse in them.
class Outcomes {
 public:
  struct Entry {
    props::OpCode misuse;
    const char* end;  ///< a fault's id, or what else became of it
    std::uint64_t programs;
  };

  /// More kinds than there is room for are not counted.
  void count(props::OpCode misuse, const char* end) {
    for (Entry& entry : entries_) {
      if (entry.programs == 0) entry = {misuse, end, 0};
      if (entry.misuse != misuse || std::strcmp(entry.end, end) != 0) continue;
      ++entry.programs;
      return;
    }
  }
  /// In the order of their first time; those behind the last one have no programs.
  [[nodiscard]] std::span<const Entry> entries() const { return entries_; }

 private:
  std::array<Entry, 512> entries_{};
};

/// What was done since the start.
struct Tally {
  std::uint64_t programs = 0;
  std::uint64_t long_ones = 0;      ///< programs of ten decoded operations or more
  std::uint64_t records = 0;        ///< operations that were decoded and carried out
  std::uint64_t requests = 0;       ///< allocations, frees and resizes
  std::uint64_t failures = 0;       ///< calls of the heap that failed on purpose
  std::uint64_t attacked = 0;       ///< programs in which misuse had an effect
  std::uint64_t deaths = 0;         ///< of them, those that ended as they must
  std::uint64_t interruptions = 0;  ///< operations in the middle of which others acted
  Outcomes outcomes;
};

/// What is carried out of an input.
template <class Lets>
[[nodiscard]] props::Program program_of(const std::uint8_t* data, std::size_t size, Lets filter) {
  props::Program program{.header = props::decode_header(data, size), .ops = {}};
  filter.prepare(program.header);
  for (std::size_t i = 1; i <= props::op_count(size); ++i) {
    const props::Op op = props::decode_op(program.header, data + i * props::kRecordBytes);
    if (filter.lets(op)) program.ops.push_back(op);
  }
  return program;
}

/// What standalone_main's --print and --print-c ask for.
template <class Lets = Legal>
void print_program(const std::uint8_t* data, std::size_t size, bool as_c) {
  const props::Program program = program_of(data, size, Lets());
  const props::SizeTable& sizes = props::stave_sizes();
  std::fputs((as_c ? props::to_c(program, sizes) : props::to_text(program, sizes)).c_str(), stdout);
}

/// `H` has what props::StaveHeap has: made once of a setup, as new after a reset to a seed.
template <props::Heap H, props::Thoroughness kThoroughness = props::Thoroughness::sampled>
class ProgramTarget {
 public:
  /// Runs the program. `plan` may let calls of the heap fail, before its first operation.
  template <class Plan, class Lets = Legal>
  void run(const std::uint8_t* data, std::size_t size, Plan&& plan, Lets filter = {}) {
    props::Header header = props::decode_header(data, size);
    filter.prepare(header);
    Place& place = place_for(size / props::kRecordBytes % kRealGuards != 0);
    place.heap.reset(place.setup_for(header));
    const std::uint64_t requests_before = place.runner.requests();
    place.runner.begin(header);
    plan(place.heap);
    const std::size_t count = std::min(props::op_count(size), kMostOps);
    std::size_t left_out = 0;
    props::OpCode first_misuse = props::OpCode::malloc_op;
    for (std::size_t i = 0; i < count && !place.runner.done(); ++i) {
      const props::Op op = props::decode_op(header, data + (i + 1) * props::kRecordBytes);
      if (!filter.lets(op)) {
        ++left_out;
        continue;
      }
      ++tally_.records;
      if (!props::is_misuse(first_misuse)) first_misuse = op.code;
      place.runner.step(op);
    }
    tally_.failures += place.heap.failures().injected();
    place.runner.finish();
    ++tally_.programs;
    tally_.requests += place.runner.requests() - requests_before;
    tally_.long_ones += count - left_out >= kLong ? 1U : 0U;
    const char* const verdict = place.runner.verdict();
    if (place.runner.attacks() != 0 || verdict != nullptr) {
      ++tally_.attacked;
      tally_.deaths += verdict != nullptr && std::strcmp(verdict, "stale") != 0 ? 1U : 0U;
      tally_.outcomes.count(first_misuse, verdict != nullptr ? verdict : "went-on");
    }
    tally_.interruptions += place.runner.interruptions();
    if (!place.runner.failure()) return;
    const props::Failure& failure = place.runner.failure();
    std::fputs(props::to_text(program_of(data, size, Lets()), props::stave_sizes()).c_str(), stderr);
    std::fprintf(stderr, "failed at %u: %s: %s (%p)\n", failure.op, failure.rule, failure.detail, failure.address);
    std::abort();
  }

  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  /// Beyond it a program only takes time.
  static constexpr std::size_t kMostOps = 1024;
  static constexpr std::size_t kLong = 10;

  /// Of lengths, one in so many has guards that the kernel laid: they find accesses that nobody foresaw, and take most
  /// of a program's time.
  static constexpr std::size_t kRealGuards = 32;

  /// All programs run in the same memory, which then stays in the caches.
  struct Place {
    const bool pretends;
    H heap;
    props::Runner<H, FlatModel> runner;

    explicit Place(bool pretend_guards)
        : pretends(pretend_guards),
          heap(setup_for(props::Header())),
          runner(heap, props::stave_sizes(), kThoroughness) {}

    [[nodiscard]] props::HeapSetup setup_for(const props::Header& header) const {
      props::HeapSetup setup = props::setup_for(header);
      setup.threads = props::kMaxThreads;
      setup.pretend_guards = pretends;
      return setup;
    }
  };

  Place& place_for(bool pretend_guards) {
    Place*& place = places_[pretend_guards ? 1 : 0];
    if (place == nullptr) place = new Place(pretend_guards);
    return *place;
  }

  Place* places_[2] = {};
  Tally tally_;
};

}  // namespace stave::fuzz
