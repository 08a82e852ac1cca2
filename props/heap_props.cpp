// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Random programs of operations on Stave instances: several logical threads, every profile, both kinds of guards,
// system calls that fail, every property of run_program.hpp after every operation.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "os/pages.hpp"
#include "props/buddy.hpp"
#include "props/first_fit.hpp"
#include "props/generate.hpp"
#include "props/history.hpp"
#include "props/stave_heap.hpp"

namespace stave::props {
namespace {

constexpr const char* kProfileNames[] = {"light", "default", "strict", "fuzz"};

/// corpus/regress/ of the sources, or what STAVE_REGRESS names.
std::filesystem::path regressions_directory() {
  const char* const named = std::getenv("STAVE_REGRESS");
  return named != nullptr && *named != '\0' ? named : STAVE_REGRESS_DIR;
}

/// Runs random programs as `wish` says, each on an instance of its own, laid out for pages of so many bytes (0: the
/// machine's). What is wished for must also happen, in one of ten programs.
template <class H = StaveHeap>
void check_instances(const std::string& name, const Wish& wish, std::size_t page_bytes = 0) {
  unsigned programs = 0;
  unsigned attacked = 0;
  unsigned interrupted = 0;
  check_programs(name, regressions_directory(), [&] {
    const Header header = generate_header(wish);
    HeapSetup setup = setup_for(header);
    setup.page_bytes = page_bytes;
    const auto heap = std::make_unique<H>(setup);
    const Effect effect = run_case_with(name, *heap, stave_sizes(), wish, header);
    ++programs;
    attacked += effect.attacked ? 1 : 0;
    interrupted += effect.interrupted ? 1 : 0;
  });
  EXPECT_TRUE(!wish.attacks || 10 * attacked >= programs) << attacked << " of " << programs;
  EXPECT_TRUE(!wish.interleaved || STAVE_YIELD_POINTS == 0 || 10 * interrupted >= programs)
      << interrupted << " of " << programs;
}

using Variant = std::tuple<unsigned, bool>;

class HeapProfiles : public testing::TestWithParam<Variant> {
 protected:
  [[nodiscard]] static Wish wish() {
    Wish wish;
    wish.profile = static_cast<std::uint8_t>(std::get<0>(GetParam()));
    wish.guard_by_protect = std::get<1>(GetParam());
    return wish;
  }
  [[nodiscard]] static std::string name(const char* subject) {
    return std::string(subject) + "_" + kProfileNames[std::get<0>(GetParam())] +
           (std::get<1>(GetParam()) ? "_mprotect" : "_advice");
  }
};

TEST_P(HeapProfiles, keep_every_property) { check_instances(name("heap"), wish()); }

TEST_P(HeapProfiles, keep_every_property_when_system_calls_fail) {
  Wish failing = wish();
  failing.failures = true;
  check_instances(name("failing_calls"), failing);
}

TEST_P(HeapProfiles, end_in_the_fault_that_a_misuse_names) {
  Wish misusing = wish();
  misusing.misuse = true;
  check_instances(name("misuse"), misusing);
}

TEST_P(HeapProfiles, keep_every_property_when_threads_interrupt_one_another) {
  Wish interleaved = wish();
  interleaved.interleaved = true;
  check_instances<Recorded<StaveHeap>>(name("interleaved"), interleaved);
}

TEST_P(HeapProfiles, owe_after_misuse_of_one_class_what_the_table_says) {
  if (STAVE_PROPS_ASAN) GTEST_SKIP() << "AddressSanitizer would find what these programs do";
  Wish attacked = wish();
  attacked.attacks = true;
  attacked.interleaved = true;
  check_instances(name("attacked"), attacked);
}

TEST_P(HeapProfiles, are_served_in_a_tight_region) {
  Wish tight = wish();
  tight.tight_region = true;
  check_instances(name("tight"), tight);
}

INSTANTIATE_TEST_SUITE_P(, HeapProfiles, testing::Combine(testing::Range(0U, 4U), testing::Bool()),
                         [](const testing::TestParamInfo<Variant>& variant) {
                           return std::string(kProfileNames[std::get<0>(variant.param)]) +
                                  (std::get<1>(variant.param) ? "_mprotect" : "_advice");
                         });

class HeapPages : public testing::TestWithParam<std::size_t> {};

TEST_P(HeapPages, keep_every_property) {
  Wish wish;
  wish.failures = true;
  const std::size_t page = GetParam();
  if (page < page_size()) GTEST_SKIP() << "the machine's pages are larger";
  check_instances("pages_" + std::to_string(page >> 10U), wish, page);
}

INSTANTIATE_TEST_SUITE_P(, HeapPages, testing::Values(std::size_t{16} << 10U, std::size_t{64} << 10U));

/// Programs that failed once. One of the list at least, or the folder itself, which is none.
std::vector<std::filesystem::path> regressions() {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(regressions_directory(), error)) paths.push_back(entry);
  if (paths.empty()) paths.push_back(regressions_directory());
  std::sort(paths.begin(), paths.end());
  return paths;
}

class Regress : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Regress, keeps_every_property_on_pages_of_each_size) {
  const std::optional<Program> program = read_regression(GetParam());
  ASSERT_TRUE(program) << GetParam() << " is no program";
  const bool attacks =
      std::any_of(program->ops.begin(), program->ops.end(), [](const Op& op) { return is_attack(op.code); });
  if (STAVE_PROPS_ASAN && attacks) GTEST_SKIP() << "AddressSanitizer would find what this program does";
  for (const std::size_t page : {page_size(), std::size_t{16} << 10U, std::size_t{64} << 10U}) {
    if (page < page_size()) continue;
    HeapSetup setup = setup_for(program->header);
    setup.page_bytes = page;
    StaveHeap heap(setup);
    CrashGuard guard(heap.escape());
    Runner<StaveHeap> runner(heap, stave_sizes(), Thoroughness::every_op);
    const Failure failure = run_program(runner, *program);
    EXPECT_FALSE(failure) << "pages of " << page << ", at " << failure.op << ": " << failure.rule << ": "
                          << failure.detail << "\n"
                          << to_text(*program, stave_sizes());
  }
}

INSTANTIATE_TEST_SUITE_P(, Regress, testing::ValuesIn(regressions()),
                         [](const testing::TestParamInfo<std::filesystem::path>& path) {
                           std::string name = path.param.stem().string();
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// What a program's requests came to, and where: offsets into the region, or -1; and how much was live then.
struct Trail {
  std::vector<Outcome> outcomes;
  std::vector<std::ptrdiff_t> offsets;
  std::vector<std::uint64_t> live_bytes;
  bool failed = false;
};

template <class H>
Trail trail_of(H& heap, const SizeTable& sizes, const Program& program) {
  Trail trail;
  CrashGuard guard(heap.escape());
  CrashGuard::restart_clock(20);
  Runner<H> runner(heap, sizes, Thoroughness::sampled);
  runner.begin(program.header);
  for (const Op& op : program.ops) {
    runner.step(op);
    if (runner.done()) break;
    trail.outcomes.push_back(runner.outcome());
    const char* const address = runner.slot_address(op.slot);
    trail.offsets.push_back(address == nullptr ? -1 : address - heap.region());
    trail.live_bytes.push_back(heap.counts().live_bytes);
  }
  runner.finish();
  trail.failed = static_cast<bool>(runner.failure());
  if (trail.failed) {
    save_program("trail", program, sizes, runner.failure());
    RC_LOG() << runner.failure().rule << ": " << runner.failure().detail;
  }
  return trail;
}

Program generate_program(const Wish& wish, const SizeTable& sizes) {
  Program program;
  program.header = generate_header(wish);
  Hint hint = generate_hint(wish, program.header, sizes);
  const auto length = *rc::gen::inRange<std::size_t>(0, 120);
  for (std::size_t i = 0; i < length; ++i) {
    const Step<Session<FirstFit>> step(hint);
    step.apply(hint);
    program.ops.push_back(step.op);
  }
  return program;
}

/// Fails when the two trails part, and saves the program.
void expect_same(const Trail& one, const Trail& other, const Program& program) {
  for (std::size_t i = 0; i < std::min(one.offsets.size(), other.offsets.size()); ++i) {
    if (one.outcomes[i] == other.outcomes[i] && one.offsets[i] == other.offsets[i]) continue;
    Failure failure;
    failure.rule = "the same seed and calls give the same addresses";
    failure.op = static_cast<unsigned>(i);
    std::snprintf(failure.detail, sizeof failure.detail, "%s: %td and %td",
                  to_text(program.ops[i], stave_sizes()).c_str(), one.offsets[i], other.offsets[i]);
    save_program("same_addresses", program, stave_sizes(), failure);
    RC_FAIL(std::string(failure.rule) + ": " + failure.detail);
  }
  RC_ASSERT(one.offsets.size() == other.offsets.size());
}

/// A region begins at any multiple of 64 KiB, so that larger alignments mean other offsets in another region, and may
/// fit in one and not in the other.
void drop_wide_alignments(Program& program) {
  std::erase_if(program.ops, [](const Op& op) {
    const bool aligned = op.code == OpCode::aligned_alloc_op || op.code == OpCode::memalign_op;
    return aligned && decode_alignment(op.detail) > 65536;
  });
}

TEST(HeapPrograms, give_the_same_addresses_for_the_same_seed_and_after_reset) {
  rc::detail::checkGTest([] {
    Program program = generate_program(Wish{}, stave_sizes());
    drop_wide_alignments(program);
    StaveHeap first(setup_for(program.header));
    StaveHeap second(setup_for(program.header));
    const Trail trail = trail_of(first, stave_sizes(), program);
    RC_ASSERT_FALSE(trail.failed);
    expect_same(trail, trail_of(second, stave_sizes(), program), program);
    HeapSetup setup = setup_for(program.header);
    ++setup.seed;
    second.reset(setup);
    RC_ASSERT_FALSE(trail_of(second, stave_sizes(), program).failed);
    second.reset(setup_for(program.header));
    expect_same(trail, trail_of(second, stave_sizes(), program), program);
  });
}

TEST(HeapPrograms, give_the_answers_of_both_reference_allocators) {
  rc::detail::checkGTest([] {
    Wish wish;
    wish.tight_region = false;
    Program program = generate_program(wish, stave_sizes());
    drop_wide_alignments(program);
    const HeapSetup setup{std::size_t{256} << 20U, 1, 1, false, kMaxThreads};
    StaveHeap heap(setup_for(program.header));
    FirstFit first_fit(setup);
    Buddy buddy(setup);
    const Trail ours = trail_of(heap, stave_sizes(), program);
    RC_ASSERT_FALSE(ours.failed);
    // How much fits into the region may differ; everything else may not. Both references are asked, since either
    // one may be the one that is short. We may be when much of the region is live (as in may_refuse), and go on with
    // less than they have.
    const Trail theirs = trail_of(first_fit, stave_sizes(), program);
    const Trail others = trail_of(buddy, stave_sizes(), program);
    RC_ASSERT(ours.outcomes.size() == theirs.outcomes.size());
    RC_ASSERT(ours.outcomes.size() == others.outcomes.size());
    for (std::size_t i = 0; i < ours.outcomes.size(); ++i) {
      const Outcome a = ours.outcomes[i];
      if (a == Outcome::no_memory && theirs.live_bytes[i] > setup.region_bytes / 8) break;
      if (a == theirs.outcomes[i] || a == others.outcomes[i] || theirs.outcomes[i] != others.outcomes[i]) continue;
      Failure failure;
      failure.rule = "the answers are those of the references";
      failure.op = static_cast<unsigned>(i);
      std::snprintf(failure.detail, sizeof failure.detail, "%s", to_text(program.ops[i], stave_sizes()).c_str());
      save_program("answers_of_references", program, stave_sizes(), failure);
      RC_FAIL(std::string(failure.rule) + ": " + failure.detail);
    }
  });
}

#if STAVE_YIELD_POINTS

TEST(HeapPrograms, are_interrupted_at_each_point_that_the_language_names) {
  using enum OpCode;
  constexpr std::uint32_t kSmall = literal_size(100);
  constexpr std::uint32_t kOther = literal_size(1000);  // of a chunk that nothing waits for
  constexpr std::uint32_t kLarge = literal_size(400000);
  // Thread 0 has slots 0 and 2, of which thread 1 freed the latter; thread 3 has ended.
  const Op passing[kYieldPoints] = {{free_op, 1, 0},     {free_op, 1, 0},     {free_op, 1, 0},
                                    {free_op, 1, 0},     {exit_thread, 0, 0}, {exit_thread, 0, 0},
                                    {exit_thread, 0, 0}, {free_op, 1, 1},     {trim, 2, 0}};
  for (std::uint8_t point = 0; point != kYieldPoints; ++point) {
    Program program;
    program.header.threads = 4;
    program.ops = {{malloc_op, 0, 0, 0, kSmall},
                   {malloc_op, 0, 1, 0, kLarge},
                   {malloc_op, 0, 2, 0, kOther},
                   {malloc_op, 3, 3, 0, kSmall},
                   {malloc_op, 1, 4, 0, kSmall},
                   {malloc_op, 2, 5, 0, kSmall},
                   {exit_thread, 3, 0},
                   {exit_thread, 1, 0},
                   {free_op, 1, 2},
                   {interleave, 0, 0, point, 0},
                   passing[point],
                   {malloc_op, 2, 6, 0, kSmall}};
    StaveHeap heap(setup_for(program.header));
    Runner<StaveHeap> runner(heap, stave_sizes(), Thoroughness::every_op);
    const Failure failure = run_program(runner, program);
    EXPECT_FALSE(failure) << failure.rule << ": " << failure.detail;
    EXPECT_EQ(runner.interruptions(), 1U) << yield_point_name(point);
  }
}

#endif

}  // namespace
}  // namespace stave::props
