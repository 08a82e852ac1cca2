// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The harness judged: it passes both reference allocators, and finds every heap that is deliberately broken.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "fuzz/flat_model.hpp"
#include "props/any_heap.hpp"
#include "props/broken_heaps.hpp"
#include "props/buddy.hpp"
#include "props/first_fit.hpp"
#include "props/generate.hpp"
#include "props/history.hpp"

namespace stave::props {
namespace {

constexpr std::size_t kRegion = std::size_t{128} << 20U;

class Rig {
 public:
  explicit Rig(AnyHeap& any) : heap(any) {}
  void renew(const Header& header) { heap.reset(setup_for(header)); }
  AnyHeap& heap;
  SizeTable sizes;
};

HeapSetup first_setup() { return {kRegion, 1, 1, false, kMaxThreads}; }

template <class H>
class SoundHeap : public testing::Test {};
using SoundHeaps = testing::Types<FirstFit, Buddy>;
TYPED_TEST_SUITE(SoundHeap, SoundHeaps);

TYPED_TEST(SoundHeap, runs_random_programs_without_a_finding) {
  Erased<TypeParam> heap(first_setup());
  Rig rig(heap);
  rc::detail::checkGTest([&] {
    run_case("sound_heap", rig.heap, rig.sizes, Wish{.failures = true},
             [&](const Header& header) { rig.renew(header); });
  });
}

TYPED_TEST(SoundHeap, dies_of_each_misuse_by_its_name) {
  Erased<TypeParam> heap(first_setup());
  Rig rig(heap);
  rc::detail::checkGTest([&] {
    run_case("sound_heap_misuse", rig.heap, rig.sizes, Wish{.misuse = true},
             [&](const Header& header) { rig.renew(header); });
  });
}

TYPED_TEST(SoundHeap, agrees_with_the_flat_model_of_the_fuzzers) {
  Erased<TypeParam> heap(first_setup());
  Rig rig(heap);
  rc::detail::checkGTest([&] {
    run_case<AnyHeap, fuzz::FlatModel>("sound_heap_flat", rig.heap, rig.sizes, Wish{},
                                       [&](const Header& header) { rig.renew(header); });
  });
}

struct Quiet : rc::detail::TestListener {
  void onTestCaseFinished(const rc::detail::CaseDescription&) override {}
  void onShrinkTried(const rc::detail::CaseDescription&, bool) override {}
  void onTestFinished(const rc::detail::TestMetadata&, const rc::detail::TestResult&) override {}
};

/// The finding that random programs come to, or an empty string. Names of rules begin with their number. The smallest
/// program is saved as `name`, unless that is empty.
template <class Model>
std::string finding(AnyHeap& heap, Wish wish, const std::string& name = "") {
  Rig rig(heap);
  rc::detail::TestParams parameters;
  parameters.seed = 20;
  parameters.maxSuccess = 400;
  Quiet quiet;
  std::size_t smallest = SIZE_MAX;
  const auto result = rc::detail::checkTestable(
      [&] {
        const Header header = generate_header(wish);
        rig.renew(header);
        using S = Session<AnyHeap, Model>;
        S session(name, rig.heap, rig.sizes, header);
        const Hint hint = generate_hint(wish, header, rig.sizes);
        try {
          rc::state::check(hint, session, rc::state::gen::execOneOfWithArgs<Step<S>>());
          session.finish();
        } catch (...) {
          if (session.runner().failure()) smallest = std::min(smallest, session.program().ops.size());
          throw;
        }
      },
      rc::detail::TestMetadata{}, parameters, quiet);
  if (!result.template is<rc::detail::FailureResult>()) return "";
  EXPECT_LE(smallest, 16U) << "shrinking left a long program";
  return result.template get<rc::detail::FailureResult>().description;
}

template <class H>
void expect_found(const std::string& rule, Wish wish = {}) {
  Erased<H> heap(first_setup());
  const std::string with_map = finding<ReferenceHeap>(heap, wish);
  EXPECT_NE(with_map.find(rule), std::string::npos) << "found: " << with_map;
  const std::string with_flat = finding<fuzz::FlatModel>(heap, wish);
  EXPECT_NE(with_flat.find(rule), std::string::npos) << "with the flat model: " << with_flat;
}

template <class Base>
class BrokenHeap : public testing::Test {};
TYPED_TEST_SUITE(BrokenHeap, SoundHeaps);

TYPED_TEST(BrokenHeap, that_ignores_alignment_is_found) { expect_found<broken::IgnoresAlignment<TypeParam>>("P3"); }
TYPED_TEST(BrokenHeap, that_hands_out_an_address_twice_is_found) {
  expect_found<broken::HandsOutTwice<TypeParam>>("P1");
}
TYPED_TEST(BrokenHeap, that_promises_too_much_is_found) { expect_found<broken::PromisesTooMuch<TypeParam>>("P"); }
TYPED_TEST(BrokenHeap, whose_calloc_does_not_zero_is_found) { expect_found<broken::DoesNotZero<TypeParam>>("P5"); }
TYPED_TEST(BrokenHeap, whose_calloc_misses_a_byte_is_found) { expect_found<broken::ZeroesAlmost<TypeParam>>("P5"); }
TYPED_TEST(BrokenHeap, that_forgets_a_free_is_found) { expect_found<broken::ForgetsFree<TypeParam>>("P9"); }
TYPED_TEST(BrokenHeap, that_clobbers_contents_is_found) { expect_found<broken::Clobbers<TypeParam>>("P2"); }
TYPED_TEST(BrokenHeap, whose_realloc_copies_too_little_is_found) {
  expect_found<broken::CopiesTooLittle<TypeParam>>("P6");
}
TYPED_TEST(BrokenHeap, that_loses_memory_on_a_failed_realloc_is_found) {
  expect_found<broken::LosesOnFailure<TypeParam>>("P");
}
TYPED_TEST(BrokenHeap, that_accepts_a_remote_double_free_is_found) {
  expect_found<broken::AcceptsRemoteDoubleFree<TypeParam>>("P11", Wish{.misuse = true});
}
TYPED_TEST(BrokenHeap, that_multiplies_blindly_is_found) { expect_found<broken::MultipliesBlindly<TypeParam>>("P"); }
TYPED_TEST(BrokenHeap, that_forgets_orphans_is_found) { expect_found<broken::ForgetsOrphans<TypeParam>>("P"); }
TYPED_TEST(BrokenHeap, whose_free_spoils_errno_is_found) { expect_found<broken::SpoilsErrno<TypeParam>>("P7"); }
/// Can be interrupted in a free by another thread, which is not begun there, or is over already.
struct InterruptedFree : FirstFit {
  explicit InterruptedFree(bool early) : FirstFit(first_setup()), early_(early) {}
  void deallocate(unsigned thread, void* pointer) {
    if (early_) FirstFit::deallocate(thread, pointer);
    interrupter_.pass("remote-free-before-mark");
    if (!early_) FirstFit::deallocate(thread, pointer);
  }
  Interrupter& interrupter() { return interrupter_; }

 private:
  Interrupter interrupter_;
  bool early_;
};

/// What comes of a free in the middle of which `amid` is carried out, and then an allocation of the same size.
std::string finding_amid_a_free(bool early, const Op& amid) {
  using enum OpCode;
  InterruptedFree heap(early);
  const SizeTable sizes;
  Runner<InterruptedFree> runner(heap, sizes, Thoroughness::every_op);
  Program program;
  program.header.threads = 3;
  program.ops = {{malloc_op, 0, 0, 0, literal_size(100)},
                 {interleave, 0, 0, 1, 0},
                 {free_op, 1, 0},
                 amid,
                 {malloc_op, 2, 1, 0, literal_size(100)}};
  const Failure failure = run_program(runner, program);
  EXPECT_EQ(runner.interruptions(), 1U);
  return failure ? failure.rule : "";
}

TEST(InterruptedHeap, that_hands_out_what_is_not_freed_yet_is_found) {
  const Op amid = {OpCode::malloc_op, 2, 2, 0, literal_size(100)};
  EXPECT_EQ(finding_amid_a_free(false, amid), "");
  EXPECT_EQ(finding_amid_a_free(true, amid), "P1 allocations do not overlap");
}

TEST(InterruptedHeap, whose_fork_finishes_what_had_not_begun_is_found) {
  const Op amid = {OpCode::fork_child, 2, 0};
  EXPECT_EQ(finding_amid_a_free(false, amid), "");
  EXPECT_EQ(finding_amid_a_free(true, amid), "P15 what a fork interrupts is finished or has not begun");
}

/// Refuses when a system call failed, though it was another thread that met the failure.
struct RefusesForOthers : FirstFit {
  RefusesForOthers() : FirstFit(first_setup()) {}
  void* allocate(unsigned thread, std::size_t size) {
    const std::uint64_t before = failures().injected();
    static_cast<void>(failures().should_fail(0));
    interrupter_.pass("collect-before-clear");
    if (failures().injected() == before) return FirstFit::allocate(thread, size);
    errno = ENOMEM;
    return nullptr;
  }
  Interrupter& interrupter() { return interrupter_; }

 private:
  Interrupter interrupter_;
};

TEST(InterruptedHeap, that_refuses_for_what_another_thread_met_is_found) {
  using enum OpCode;
  for (const std::uint32_t calls_before : {0U, 1U}) {  // the interrupted one meets the failure itself, or the other
    RefusesForOthers heap;
    const SizeTable sizes;
    Runner<RefusesForOthers> runner(heap, sizes, Thoroughness::every_op);
    Program program;
    program.header.threads = 2;
    program.ops = {{fail_next, 0, 0, FailurePlan::kAnyCall, calls_before},
                   {interleave, 0, 0, 0, 0},
                   {malloc_op, 0, 0, 0, literal_size(100)},
                   {calls_before == 0 ? check : malloc_op, 1, 1, 0, literal_size(100)}};
    const Failure failure = run_program(runner, program);
    EXPECT_STREQ(failure.rule, calls_before == 0 ? nullptr : "P8 a refusal needs a reason");
    EXPECT_EQ(runner.interruptions(), 1U);
  }
}

TYPED_TEST(BrokenHeap, that_refuses_for_nothing_is_found) { expect_found<broken::RefusesForNothing<TypeParam>>("P8"); }

// A history that no order explains is P10, which comes last: the runner's own rules must have seen why.
TYPED_TEST(BrokenHeap, that_takes_what_it_saw_before_an_interruption_is_found) {
  expect_found<Recorded<broken::TakesWhatItSaw<TypeParam>>>("P1 ", Wish{.interleaved = true});
}
TYPED_TEST(BrokenHeap, that_loses_a_racing_free_is_found) {
  expect_found<Recorded<broken::LosesRacingFree<TypeParam>>>("P9", Wish{.interleaved = true});
}
TYPED_TEST(BrokenHeap, that_frees_early_is_found) {
  expect_found<Recorded<broken::FreesEarly<TypeParam>>>("P1", Wish{.interleaved = true});
}

/// Calls that interrupt one another, of a heap that the runner does not see.
template <class H>
struct Racing {
  /// Carries out `outer` and, where it first passes a point, `inner`; then says what no order explains.
  template <class Outer, class Inner>
  const void* interrupt(Outer&& outer, Inner&& inner) {
    struct Context {
      Racing& racing;
      Inner& inner;
    } context{*this, inner};
    heap.interrupter() = {[](void* self, const char*) {
                            auto& [racing, act] = *static_cast<Context*>(self);
                            racing.heap.interrupter() = {};
                            act();
                          },
                          &context};
    outer();
    return heap.verify().where;
  }

  Recorded<H> heap{first_setup()};
};

TEST(History, of_memory_that_two_calls_took_has_no_order) {
  Racing<broken::TakesWhatItSaw<FirstFit>> racing;
  void* outer = nullptr;
  void* inner = nullptr;
  const void* const unexplained =
      racing.interrupt([&] { outer = racing.heap.allocate(0, 100); }, [&] { inner = racing.heap.allocate(1, 100); });
  ASSERT_EQ(outer, inner);
  EXPECT_EQ(unexplained, outer);
}

TEST(History, of_memory_that_was_freed_early_has_one) {
  Racing<broken::FreesEarly<FirstFit>> racing;
  void* const pointer = racing.heap.allocate(0, 100);
  void* again = nullptr;
  EXPECT_EQ(
      racing.interrupt([&] { racing.heap.deallocate(0, pointer); }, [&] { again = racing.heap.allocate(1, 100); }),
      nullptr);
  EXPECT_EQ(again, pointer);
}

TEST(History, of_memory_that_was_resized_and_taken_meanwhile_has_none) {
  History history;
  char memory[64];
  const auto take = [&](char* from, std::size_t bytes) {
    const History::Call call = history.begin();
    history.end(call, from, bytes, false);
  };
  take(memory, 16);
  const History::Call grown = history.begin(memory);
  take(memory + 16, 16);
  history.end(grown, memory, 17, false);
  EXPECT_EQ(history.unexplained(), memory);
}

TEST(History, that_a_fork_cut_off_may_have_freed_or_not) {
  for (const bool was_freed : {false, true}) {
    History history;
    char memory[64];
    const auto take = [&] {
      const History::Call call = history.begin();
      history.end(call, memory, 16, false);
    };
    take();
    static_cast<void>(history.begin(memory));
    if (was_freed) take();
    history.abandon();
    EXPECT_EQ(history.unexplained(), nullptr);
    if (was_freed) {
      take();
      EXPECT_EQ(history.unexplained(), memory) << "who took it then has it still";
    }
  }
}

TEST(Regression, of_a_broken_heap_is_small_and_fails_again) {
  const std::filesystem::path directory = std::filesystem::path(testing::TempDir()) / "stave_regress";
  std::filesystem::remove_all(directory);
  Erased<broken::LosesRacingFree<FirstFit>> heap(first_setup());
  const std::string rule = finding<ReferenceHeap>(heap, Wish{.interleaved = true}, "loses_racing_free");
  ASSERT_FALSE(rule.empty());
  const std::filesystem::path saved = failures_directory() / "loses_racing_free.txt";
  const std::filesystem::path kept = keep_regression(saved, directory);
  EXPECT_EQ(kept.parent_path(), directory);
  const std::optional<Program> program = read_regression(kept);
  ASSERT_TRUE(program);
  EXPECT_LE(program->ops.size(), 8U) << to_text(*program, SizeTable());
  const SizeTable sizes;
  AnyHeap& any = heap;
  any.reset(setup_for(program->header));
  Runner<AnyHeap> runner(any, sizes, Thoroughness::every_op);
  const Failure failure = run_program(runner, *program);
  ASSERT_TRUE(failure);
  EXPECT_NE(rule.find(failure.rule), std::string::npos) << failure.rule;
  Erased<FirstFit> sound(first_setup());
  sound.reset(setup_for(program->header));
  Runner<AnyHeap> judge(sound, sizes, Thoroughness::every_op);
  EXPECT_FALSE(run_program(judge, *program));
  EXPECT_EQ(keep_regression(saved, saved / "no folder"), saved) << "where nothing can be written";
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace stave::props
