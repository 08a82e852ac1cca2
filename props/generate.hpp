// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RapidCheck's side: generates headers and operations, runs them as rc::state commands, saves what fails.
#pragma once

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <rapidcheck/state.h>

#include <algorithm>
#include <bitset>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <ostream>
#include <string>

#include "props/crash_guard.hpp"
#include "props/ops.hpp"
#include "props/regress.hpp"
#include "props/run_program.hpp"

namespace stave::props {

/// What a test varies: the rest of the header comes from the generator.
struct Wish {
  std::optional<std::uint8_t> profile = std::nullopt;
  std::optional<bool> guard_by_protect = std::nullopt;
  std::optional<bool> tight_region = std::nullopt;
  bool failures = false;     ///< system calls fail now and then
  bool misuse = false;       ///< programs may end with one
  bool attacks = false;      ///< all misuse of one class, which a program may survive
  bool interleaved = false;  ///< operations interrupt one another
};

/// An argument that stands for a size: borders of classes first, then small ones, then everything.
inline rc::Gen<std::uint32_t> size_argument(unsigned classes) {
  using rc::gen::inRange;
  using rc::gen::map;
  const auto literal = [](unsigned size) { return literal_size(size); };
  return rc::gen::weightedOneOf<std::uint32_t>({
      {6, map(inRange<unsigned>(0, 3 * classes),
              [](unsigned n) { return class_edge(n / 3, static_cast<int>(n % 3) - 1); })},
      {6, map(inRange<unsigned>(0, 1025), literal)},
      {1, map(inRange<unsigned>(0, 16 * 8), [](unsigned n) { return 0x7000'0000U | (n / 8) << 4U | n % 8; })},
      {2, map(inRange<unsigned>(0, 32 * 8), [](unsigned n) { return 0x8000'0000U | (n / 8) << 4U | n % 8; })},
      {2, map(inRange<unsigned>(0, 1U << 18U), literal)},
      {1, map(inRange<unsigned>(0, 1U << 22U), literal)},
      {1, map(inRange<unsigned>(0, 256 * 8), [](unsigned n) { return 0xC000'0000U | (n / 8) << 4U | n % 8; })},
      {1, map(inRange<unsigned>(0, 32), [](unsigned n) { return huge_size(n); })},
  });
}

inline Header generate_header(const Wish& wish) {
  Header header;
  header.profile = wish.profile ? *wish.profile : *rc::gen::inRange<std::uint8_t>(0, 4);
  header.guard_by_protect = wish.guard_by_protect ? *wish.guard_by_protect : *rc::gen::arbitrary<bool>();
  header.tight_region =
      wish.tight_region ? *wish.tight_region : *rc::gen::weightedElement<bool>({{4, false}, {1, true}});
  header.threads = *rc::gen::inRange<std::uint8_t>(wish.interleaved ? 3 : 1, kMaxThreads + 1);
  header.threads_borrow = *rc::gen::arbitrary<bool>();
  header.misuse_allowed = wish.misuse || wish.attacks;
  header.seed = *rc::gen::inRange<std::uint32_t>(1, 1U << 30U);
  if (wish.failures) {
    header.failures.call = *rc::gen::inRange<std::uint8_t>(0, 8);
    header.failures.period = *rc::gen::weightedOneOf<std::uint8_t>(
        {{2, rc::gen::just<std::uint8_t>(0)}, {3, rc::gen::inRange<std::uint8_t>(1, 8)}});
  }
  return header;
}

/// What the generator knows when it makes an operation: a hint only, since shrinking drops operations.
struct Hint {
  Header header;
  unsigned classes = 1;
  std::bitset<kSlots> live;
  std::bitset<kSlots> used;  ///< live, or stale
  std::array<unsigned, kPiles> piled{};
  bool failures = false;
  bool interleaved = false;
  bool is_interrupted = false;             ///< the next operation: one that passes yield points
  MisuseClass attack = MisuseClass::none;  ///< what misuse there is, if it is of one class
};

inline Hint generate_hint(const Wish& wish, const Header& header, const SizeTable& sizes) {
  Hint hint;
  hint.header = header;
  hint.classes = static_cast<unsigned>(sizes.classes().size());
  hint.failures = wish.failures;
  hint.interleaved = wish.interleaved;
  if (wish.attacks) {
    using enum MisuseClass;
    hint.attack = *rc::gen::element(bounds, freed, frees, mismatch, forgery, metadata);
  }
  return hint;
}

inline Op generate_op(const Hint& hint) {
  using enum OpCode;
  std::vector<std::pair<std::size_t, OpCode>> weights = {
      {6, malloc_op},   {3, calloc_op}, {1, aligned_alloc_op}, {3, memalign_op}, {1, fill},
      {1, exit_thread}, {1, trim},      {2, pile_up},          {1, check},
  };
  if (hint.live.any()) {
    for (const auto& more : {std::pair<std::size_t, OpCode>{5, realloc_op},
                             {1, reallocarray_op},
                             {6, free_op},
                             {4, free_remote},
                             {1, usable_size},
                             {1, fork_child}}) {
      weights.push_back(more);
    }
  } else {
    weights.emplace_back(1, realloc_op);
  }
  if (std::any_of(hint.piled.begin(), hint.piled.end(), [](unsigned n) { return n != 0; }))
    weights.emplace_back(3, pile_free);
  if (hint.failures) weights.emplace_back(2, fail_next);
  if (hint.interleaved) weights.emplace_back(8, interleave);
  if (hint.attack != MisuseClass::none) {
    for (const OpCode code : attack_ops()) {
      if (misuse_class(code) == hint.attack) weights.emplace_back(3, code);
    }
  }
  if (hint.header.misuse_allowed) {
    for (const OpCode code : misuse_ops()) {
      if (hint.attack == MisuseClass::none || misuse_class(code) == hint.attack) weights.emplace_back(1, code);
    }
  }
  Op op;
  // The elements are drawn by index: OpCode itself shrinks to nothing that means less.
  std::vector<OpCode> codes;
  for (const auto& [weight, code] : weights) codes.insert(codes.end(), weight, code);
  if (hint.is_interrupted) {
    codes = {free_remote, free_remote, free_remote, free_op, realloc_op, malloc_op, malloc_op, exit_thread, trim};
  }
  // All of them in short programs too.
  op.code = codes[*rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::size_t>(0, codes.size()))];
  op.thread = *rc::gen::inRange<std::uint8_t>(0, hint.header.threads);
  const bool wants_live = op.code == realloc_op || op.code == free_op || op.code == free_remote ||
                          op.code == usable_size || op.code == fill;
  const std::bitset<kSlots> wanted = is_misuse(op.code) ? hint.used : wants_live ? hint.live : std::bitset<kSlots>();
  if (wanted.any()) {
    std::vector<std::uint8_t> slots;
    for (unsigned i = 0; i < kSlots; ++i) {
      if (wanted[i]) slots.push_back(static_cast<std::uint8_t>(i));
    }
    op.slot = *rc::gen::elementOf(slots);
  } else {
    op.slot = *rc::gen::inRange<std::uint8_t>(0, kSlots);
  }
  switch (op.code) {
    case aligned_alloc_op:
    case memalign_op:
      op.detail = *rc::gen::weightedOneOf<std::uint8_t>({{12, rc::gen::inRange<std::uint8_t>(0, 13)},
                                                         {3, rc::gen::inRange<std::uint8_t>(0xA0, 0xA8)},
                                                         {1, rc::gen::inRange<std::uint8_t>(0xC0, 0xCB)},
                                                         {1, rc::gen::inRange<std::uint8_t>(0xE0, 0xF0)}});
      break;
    case calloc_op:
    case reallocarray_op:
      op.detail = *rc::gen::weightedOneOf<std::uint8_t>(
          {{6, rc::gen::inRange<std::uint8_t>(0, 6)}, {1, rc::gen::inRange<std::uint8_t>(6, 16)}});
      break;
    case pile_up:
    case pile_free:
      op.detail = *rc::gen::inRange<std::uint8_t>(0, 255);
      break;
    default:
      op.detail = *rc::gen::inRange<std::uint8_t>(0, 8);
      break;
  }
  if (op.code == interleave) {
    op.slot %= kMostInterrupting;
    op.detail = *rc::gen::weightedOneOf<std::uint8_t>(
        {{1, rc::gen::just<std::uint8_t>(0)}, {1, rc::gen::inRange<std::uint8_t>(1, kYieldPoints)}});
    op.argument = *rc::gen::weightedOneOf<std::uint32_t>(
        {{1, rc::gen::just<std::uint32_t>(0)}, {1, rc::gen::inRange<std::uint32_t>(1, 16)}});
  } else if (is_attack(op.code)) {
    op.argument = *rc::gen::inRange<std::uint32_t>(0, 1U << 16U);
  } else if (op.code == pile_free || op.code == fail_next) {
    op.argument = *rc::gen::inRange<std::uint32_t>(0, 1U << 11U);
  } else if (op.code == pile_up) {
    op.argument = *rc::gen::weightedOneOf<std::uint32_t>(
        {{4, rc::gen::map(rc::gen::inRange<unsigned>(0, 600), [](unsigned n) { return literal_size(n); })},
         {1, size_argument(hint.classes)}});
  } else {
    op.argument = *size_argument(hint.classes);
  }
  return op;
}

/// Where failing programs go: STAVE_FAILURES, or failures/ in the working directory.
inline std::filesystem::path failures_directory() {
  const char* const named = std::getenv("STAVE_FAILURES");
  return named != nullptr && *named != '\0' ? std::filesystem::path(named) : std::filesystem::path("failures");
}

/// Writes NAME.txt, which can be run again (regress.hpp), and NAME.c. The last one written while shrinking is the
/// smallest.
inline void save_program(const std::string& name, const Program& program, const SizeTable& sizes,
                         const Failure& failure) {
  std::error_code ignored;
  const std::filesystem::path directory = failures_directory();
  std::filesystem::create_directories(directory, ignored);
  const std::string title =
      name + ": " + failure.rule + ": " + failure.detail + ", at operation " + std::to_string(failure.op);
  std::ofstream(directory / (name + ".txt")) << regression_text(title, program, sizes);
  std::ofstream(directory / (name + ".c")) << to_c(program, sizes);
}

/// Checks a property that saves what fails as `name`: the smallest program is printed, and kept in `regressions`.
template <class Property>
void check_programs(const std::string& name, const std::filesystem::path& regressions, Property&& property) {
  const std::filesystem::path saved = std::filesystem::absolute(failures_directory() / (name + ".txt"));
  std::error_code ignored;
  std::filesystem::remove(saved, ignored);
  rc::detail::checkGTest(std::forward<Property>(property));
  std::ifstream file(saved);
  if (!testing::Test::HasFailure() || !file) return;
  std::cout << file.rdbuf();
  std::cerr << "The program is " << keep_regression(saved, regressions).string() << ", and as C "
            << (failures_directory() / (name + ".c")).string() << "\n";
}

/// The system under test of rc::state: a runner, and the program as far as it went.
template <Heap H, class Model = ReferenceHeap>
class Session {
 public:
  Session(std::string name, H& heap, const SizeTable& sizes, const Header& header)
      : name_(std::move(name)), sizes_(sizes), guard_(heap.escape()), runner_(heap, sizes, Thoroughness::every_op) {
    program_.header = header;
    runner_.begin(header);
    CrashGuard::restart_clock(kSeconds);
  }

  void step(const Op& op) {
    if (runner_.done()) return;
    program_.ops.push_back(op);
    runner_.step(op);
    judge();
  }
  void finish() {
    runner_.finish();
    judge();
  }
  [[nodiscard]] const SizeTable& sizes() const { return sizes_; }
  [[nodiscard]] const Runner<H, Model>& runner() const { return runner_; }
  [[nodiscard]] const Program& program() const { return program_; }

 private:
  static constexpr unsigned kSeconds = 20;

  void judge() {
    const Failure& failure = runner_.failure();
    if (!failure) return;
    if (!name_.empty()) save_program(name_, program_, sizes_, failure);
    RC_FAIL(std::string(failure.rule) + ": " + failure.detail);
  }

  std::string name_;
  const SizeTable& sizes_;
  CrashGuard guard_;
  Runner<H, Model> runner_;
  Program program_;
};

template <class S>
struct Step : rc::state::Command<Hint, S> {
  explicit Step(const Hint& hint) : op(generate_op(hint)) {}

  void apply(Hint& hint) const override {
    using enum OpCode;
    hint.is_interrupted = op.code == interleave;
    switch (op.code) {
      case malloc_op:
      case calloc_op:
      case realloc_op:
      case aligned_alloc_op:
      case memalign_op:
        hint.live.set(op.slot);
        hint.used.set(op.slot);
        break;
      case free_op:
      case free_remote:
        hint.live.reset(op.slot);
        break;
      case pile_up:
        hint.piled[pile_number(op)] += 1;
        break;
      default:
        break;
    }
  }
  void run(const Hint&, S& session) const override { session.step(op); }
  void show(std::ostream& out) const override { out << to_text(op, SizeTable()); }

  Op op;
};

/// What became of a program that was run.
struct Effect {
  bool attacked = false;     ///< misuse had an effect
  bool interrupted = false;  ///< an operation was
};

/// A random program, as `wish` says, on a heap that is as new and set up for `header`.
template <Heap H, class Model = ReferenceHeap>
Effect run_case_with(const std::string& name, H& heap, const SizeTable& sizes, const Wish& wish, const Header& header) {
  using S = Session<H, Model>;
  S session(name, heap, sizes, header);
  const Hint hint = generate_hint(wish, header, sizes);
  rc::state::check(hint, session, rc::state::gen::execOneOfWithArgs<Step<S>>());
  session.finish();
  const Runner<H, Model>& runner = session.runner();
  return {runner.attacks() != 0 || runner.expected_death(), runner.interruptions() != 0};
}

/// The same with a random header, for which `renew` makes the heap as new.
template <Heap H, class Model = ReferenceHeap, class Renew>
void run_case(const std::string& name, H& heap, const SizeTable& sizes, const Wish& wish, Renew&& renew) {
  const Header header = generate_header(wish);
  renew(header);
  static_cast<void>(run_case_with<H, Model>(name, heap, sizes, wish, header));
}

}  // namespace stave::props
