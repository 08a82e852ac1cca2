// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/constants.hpp"

#include <gtest/gtest.h>

#include <csetjmp>
#include <csignal>

#include "base/test_child.hpp"

namespace stave {
namespace {

Constants derived(Profile profile, std::size_t page = 4096) {
  Constants constants;
  constants.options = options_of(profile);
  constants.page = page;
  constants.derive();
  return constants;
}

TEST(Constants, hold_no_more_than_the_options_and_the_chunk_allow) {
  for (const std::size_t page : {std::size_t{4096}, std::size_t{16384}, std::size_t{65536}}) {
    for (const Profile profile : {Profile::light, Profile::standard, Profile::strict, Profile::fuzz}) {
      const Constants constants = derived(profile, page);
      for (SizeClass cls = 0; cls != kClassCount; ++cls) {
        const ClassShape& shape = constants.shapes[cls];
        EXPECT_LE(constants.holds[cls], constants.options.quarantine_slots);
        EXPECT_LE(constants.holds[cls] * std::uint64_t{shape.slot_size}, constants.options.quarantine_size_kb << 10);
        EXPECT_LE(8U * constants.holds[cls], shape.slot_count) << "a small chunk would hold back most of its slots";
        EXPECT_GE(constants.few[cls], 1U);
        EXPECT_TRUE(constants.few[cls] == 1 || 8U * constants.few[cls] <= shape.slot_count);
      }
    }
  }
}

TEST(Constants, a_usable_chunk_always_has_a_word_with_a_slot_to_offer) {
  for (const std::size_t page : {std::size_t{4096}, std::size_t{16384}, std::size_t{65536}}) {
    for (const Profile profile : {Profile::light, Profile::standard, Profile::strict, Profile::fuzz}) {
      const Constants constants = derived(profile, page);
      for (SizeClass cls = 0; cls != kClassCount; ++cls) {
        const ClassShape& shape = constants.shapes[cls];
        const std::uint64_t most_without_offer = std::uint64_t{constants.holds[cls]} * shape.line_count();
        EXPECT_GT(constants.usable_at[cls], most_without_offer)
            << kSlotSizes[cls] << ": refill would go round for ever";
        EXPECT_LE(constants.usable_at[cls], shape.slot_count)
            << kSlotSizes[cls] << ": a free chunk would never be usable";
        EXPECT_GE(constants.usable_at[cls], 1U);
      }
    }
  }
}

TEST(Constants, nothing_is_held_when_the_options_say_so) {
  for (const bool by_slots : {true, false}) {
    Constants constants;
    (by_slots ? constants.options.quarantine_slots : constants.options.quarantine_size_kb) = 0;
    constants.derive();
    for (SizeClass cls = 0; cls != kClassCount; ++cls) EXPECT_EQ(constants.holds[cls], 0U);
  }
}

TEST(Constants, stricter_profiles_hold_more) {
  const SizeClass cls = size_class_for(64);
  EXPECT_LT(derived(Profile::light).holds[cls], derived(Profile::standard).holds[cls]);
  EXPECT_LT(derived(Profile::standard).holds[cls], derived(Profile::strict).holds[cls]);
}

TEST(Constants, shapes_follow_from_the_page_size) {
  for (const std::size_t page : {std::size_t{4096}, std::size_t{16384}, std::size_t{65536}}) {
    const Constants constants = derived(Profile::standard, page);
    for (SizeClass cls = 0; cls != kClassCount; ++cls) {
      EXPECT_EQ(constants.shapes[cls].slots_offset, class_shape(cls, page).slots_offset);
      EXPECT_EQ(constants.shapes[cls].slot_count, class_shape(cls, page).slot_count);
    }
  }
}

struct Caught {
  std::jmp_buf env;
  FaultRecord record;
};

TEST(Constants, die_hands_the_record_to_on_fault) {
  Caught caught{};
  Constants constants;
  constants.context = &caught;
  constants.on_fault = [](void* context, const FaultRecord& record) {
    auto* const c = static_cast<Caught*>(context);
    c->record = record;
    std::longjmp(c->env, 1);
  };
  if (setjmp(caught.env) == 0) constants.die({.fault = Fault::corrupt_list, .rule = "a rule", .slot = 9});
  EXPECT_EQ(caught.record.fault, Fault::corrupt_list);
  EXPECT_STREQ(caught.record.rule, "a rule");
  EXPECT_EQ(caught.record.slot, 9U);
}

TEST(Constants, die_aborts_when_on_fault_returns) {
  Constants constants;
  constants.on_fault = [](void*, const FaultRecord&) {};
  EXPECT_EQ(test::child_end([&] { constants.die({.fault = Fault::internal}); }), -SIGABRT);
}

TEST(Constants, die_reports_and_aborts_without_on_fault) {
  const Constants constants;
  EXPECT_EQ(test::child_end([&] {
              close(2);
              constants.die({.fault = Fault::internal});
            }),
            -SIGABRT);
}

}  // namespace
}  // namespace stave
