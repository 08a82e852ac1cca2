// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "base/fault.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <cstring>
#include <set>
#include <string>

namespace stave {
namespace {

template <class Visit>
void for_each_fault(Visit visit) {
  for (std::size_t i = 0; i != kFaultCount; ++i) visit(static_cast<Fault>(i));
}

TEST(Fault, ids_are_unique) {
  std::set<std::string> ids;
  for_each_fault([&](Fault fault) { EXPECT_TRUE(ids.insert(fault_id(fault)).second) << fault_id(fault); });
  EXPECT_EQ(ids.size(), kFaultCount);
}

TEST(Fault, ids_are_kebab_case) {
  for_each_fault([](Fault fault) {
    const std::string id = fault_id(fault);
    ASSERT_FALSE(id.empty());
    EXPECT_NE(id.front(), '-');
    EXPECT_NE(id.back(), '-');
    EXPECT_EQ(id.find("--"), std::string::npos) << id;
    for (const char c : id) EXPECT_TRUE((c >= 'a' && c <= 'z') || c == '-') << id;
  });
}

TEST(Fault, an_id_is_its_identifier){
#define STAVE_FAULT(name, id, built, cause, option)       \
  {                                                       \
    std::string expected = #name;                         \
    for (char& c : expected) c = c == '_' ? '-' : c;      \
    EXPECT_EQ(expected, id);                              \
    EXPECT_STREQ(fault_id(Fault::name), id);              \
    EXPECT_EQ(fault_is_built(Fault::name), (built) != 0); \
    EXPECT_STREQ(fault_cause(Fault::name), cause);        \
  }
#include "base/fault.def"
#undef STAVE_FAULT
}

TEST(Fault, causes_are_one_sentence_that_a_report_can_end_with) {
  std::set<std::string> causes;
  for_each_fault([&](Fault fault) {
    const std::string cause = fault_cause(fault);
    EXPECT_GE(cause.size(), 15U) << fault_id(fault);
    EXPECT_LE(cause.size(), 120U) << fault_id(fault);
    EXPECT_EQ(cause.find('\n'), std::string::npos);
    EXPECT_NE(cause.back(), '.') << cause;
    EXPECT_TRUE(std::islower(static_cast<unsigned char>(cause.front()))) << cause;
    EXPECT_TRUE(causes.insert(cause).second) << cause;
  });
}

TEST(Fault, the_ids_that_users_know_are_there) {
  // Renaming one breaks whoever searches logs for it.
  std::set<std::string> built;
  for_each_fault([&](Fault fault) {
    if (fault_is_built(fault)) built.insert(fault_id(fault));
  });
  for (const char* const id : {"foreign-pointer", "interior-pointer", "misaligned-pointer", "double-free",
                               "freed-pointer", "never-allocated", "corrupt-header", "corrupt-bitmap", "corrupt-list",
                               "corrupt-record", "reentered", "os-refused", "no-entropy"}) {
    EXPECT_EQ(built.count(id), 1U) << id;
  }
}

TEST(Fault, a_record_knows_nothing_until_told) {
  const FaultRecord record{};
  EXPECT_EQ(record.rule, nullptr);
  EXPECT_EQ(record.address, nullptr);
  EXPECT_EQ(record.chunk, nullptr);
  EXPECT_EQ(record.slot_size, 0U);
  EXPECT_FALSE(record.large);
  EXPECT_EQ(record.state, nullptr);
}

}  // namespace
}  // namespace stave
