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

/// The finding that random programs come to, or an empty string. Names of rules begin with their number.
template <class Model>
std::string finding(AnyHeap& heap, Wish wish) {
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
        S session("", rig.heap, rig.sizes, header);
        Hint hint;
        hint.header = header;
        hint.classes = static_cast<unsigned>(rig.sizes.classes().size());
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

TYPED_TEST(BrokenHeap, that_refuses_for_nothing_is_found) { expect_found<broken::RefusesForNothing<TypeParam>>("P8"); }

}  // namespace
}  // namespace stave::props
