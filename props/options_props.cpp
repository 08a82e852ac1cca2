// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The option parser against a model that is written another way, and against any bytes at all.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "policy/options.hpp"

namespace stave {
namespace {

struct Row {
  const char* name;
  std::uint64_t lowest;
  std::uint64_t highest;
  std::uint64_t Options::*field;
};
const std::vector<Row> kRows = {
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) \
  {#name, lowest, highest, &Options::name},
#include "policy/options.def"
};
const std::vector<std::string> kProfileWords = {"light", "default", "strict", "fuzz"};

struct Complaints {
  std::vector<std::string> texts;

  [[nodiscard]] OptionComplaints sink() {
    return {.complain =
                [](void* context, const char* kind, std::string_view text, const char* valid) {
                  RC_ASSERT(static_cast<bool>(kind != nullptr));
                  RC_ASSERT(static_cast<bool>(valid != nullptr));
                  static_cast<Complaints*>(context)->texts.emplace_back(text);
                },
            .context = this};
  }
};

bool same(const Options& a, const Options& b) {
  if (a.profile != b.profile) return false;
  for (const Row& row : kRows) {
    if (a.*row.field != b.*row.field) return false;
  }
  return true;
}

/// One part of an option string, and what it must do.
struct Part {
  std::string text;
  int profile = -1;
  const Row* row = nullptr;
  std::uint64_t value = 0;
  bool good = true;
};

Part any_part() {
  Part part;
  switch (*rc::gen::inRange(0, 8)) {
    case 0:
      part.profile = *rc::gen::inRange(0, 4);
      part.text = "profile=" + kProfileWords[static_cast<std::size_t>(part.profile)];
      break;
    case 1: {
      part.text = *rc::gen::element<std::string>(
          "profile=loud", "nothing=1", "=", "=1", "guard_pages=2", "guard_pages=", "guard_pages", "quarantine_slots=-1",
          "stats=1x", "Stats=1", "stats=+1", "quarantine_size_kb=99999999999999999999", "profile", "stats= 1");
      part.good = false;
      break;
    }
    case 2:
      break;  // nothing between two colons
    default: {
      part.row = &kRows[*rc::gen::inRange<std::size_t>(0, kRows.size())];
      const std::uint64_t span = part.row->highest - part.row->lowest;
      part.value = part.row->lowest + (span == UINT64_MAX ? *rc::gen::arbitrary<std::uint64_t>()
                                                          : *rc::gen::arbitrary<std::uint64_t>() % (span + 1));
      std::string number = std::to_string(part.value);
      if (part.value <= 1 && *rc::gen::arbitrary<bool>()) {
        number = part.value == 1 ? *rc::gen::element<std::string>("true", "yes", "on")
                                 : *rc::gen::element<std::string>("false", "no", "off");
      }
      part.text = std::string(part.row->name) + "=" + number;
    }
  }
  return part;
}

RC_GTEST_PROP(OptionStrings, mean_what_each_part_says, ()) {
  std::vector<Part> parts;
  const auto count = *rc::gen::inRange(0, 12);
  for (int i = 0; i < count; ++i) parts.push_back(any_part());

  std::string text;
  Options expected;
  std::size_t bad = 0;
  for (const Part& part : parts) {
    text += (&part == parts.data() ? "" : ":") + part.text;
    if (part.profile >= 0) expected = options_of(static_cast<Profile>(part.profile));
  }
  for (const Part& part : parts) {
    if (part.row != nullptr) expected.*part.row->field = part.value;
    bad += part.good ? 0 : 1;
  }
  RC_LOG() << "options: " << text;
  Complaints complaints;
  const Options found = parse_options(text.c_str(), complaints.sink());
  RC_ASSERT(same(found, expected));
  RC_ASSERT(complaints.texts.size() == bad);
}

RC_GTEST_PROP(OptionStrings, may_be_any_bytes, ()) {
  auto text = *rc::gen::container<std::string>(rc::gen::weightedOneOf<char>(
      {{3, rc::gen::element(':', '=', '0', '1', '9', '-', 'p', 's')}, {1, rc::gen::nonZero<char>()}}));
  Complaints complaints;
  const Options found = parse_options(text.c_str(), complaints.sink());
  for (const Row& row : kRows) {
    RC_ASSERT((found.*row.field >= row.lowest));
    RC_ASSERT((found.*row.field <= row.highest));
  }
  // What is complained about is a part of the text that was given.
  for (const std::string& complaint : complaints.texts) RC_ASSERT(text.find(complaint) != std::string::npos);
}

TEST(OptionStrings, absent_or_empty_ones_are_the_defaults) {
  const OptionComplaints nobody{};
  EXPECT_TRUE(same(parse_options("", nobody), options_of(Profile::standard)));
  EXPECT_TRUE(same(Options{}, options_of(Profile::standard)));
}

TEST(OptionStrings, defaults_of_every_profile_are_in_range) {
  for (unsigned profile = 0; profile < 4; ++profile) {
    const Options options = options_of(static_cast<Profile>(profile));
    for (const Row& row : kRows) {
      EXPECT_GE(options.*row.field, row.lowest) << row.name;
      EXPECT_LE(options.*row.field, row.highest) << row.name;
    }
  }
}

}  // namespace
}  // namespace stave
