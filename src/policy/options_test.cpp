// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "policy/options.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace stave {
namespace {

using Numbers = std::initializer_list<std::uint64_t>;

struct Row {
  const char* name;
  std::uint64_t lowest;
  std::uint64_t highest;
  std::uint64_t defaults[4];
  std::uint64_t Options::*field;
};

constexpr Row kRows[] = {
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) \
  {#name, lowest, highest, {light, standard, strict, fuzz}, &Options::name},
#include "policy/options.def"
};
constexpr Profile kProfiles[] = {Profile::light, Profile::standard, Profile::strict, Profile::fuzz};

struct Complaint {
  std::string kind;
  std::string text;
  std::string valid;
};

struct Parsed {
  Options options;
  std::vector<Complaint> complaints;
};

Parsed parse(const char* text) {
  Parsed parsed;
  parsed.options =
      parse_options(text, {.complain =
                               [](void* context, const char* kind, std::string_view part, const char* valid) {
                                 static_cast<Parsed*>(context)->complaints.push_back({kind, std::string(part), valid});
                               },
                           .context = &parsed});
  return parsed;
}
Parsed parse(const std::string& text) { return parse(text.c_str()); }

bool same(const Options& a, const Options& b) {
  if (a.profile != b.profile) return false;
  for (const Row& row : kRows) {
    if (a.*row.field != b.*row.field) return false;
  }
  return true;
}

TEST(Options, nothing_said_is_the_default_profile) {
  for (const char* const text : {"", ":", ":::"}) {
    const Parsed parsed = parse(text);
    EXPECT_TRUE(parsed.complaints.empty());
    EXPECT_TRUE(same(parsed.options, options_of(Profile::standard)));
  }
  EXPECT_TRUE(same(Options{}, options_of(Profile::standard)));
}

TEST(Options, each_profile_has_the_values_of_the_list_within_their_ranges) {
  for (std::size_t i = 0; i != 4; ++i) {
    const Options options = options_of(kProfiles[i]);
    EXPECT_EQ(options.profile, kProfiles[i]);
    for (const Row& row : kRows) {
      EXPECT_EQ(options.*row.field, row.defaults[i]) << row.name;
      EXPECT_LE(row.lowest, row.defaults[i]) << row.name;
      EXPECT_GE(row.highest, row.defaults[i]) << row.name;
    }
    EXPECT_TRUE(same(parse("profile=" + std::string(profile_name(kProfiles[i]))).options, options));
  }
}

TEST(Options, every_option_takes_its_limits_and_nothing_beyond) {
  for (const Row& row : kRows) {
    const std::string name = row.name;
    for (const std::uint64_t value : Numbers{row.lowest, row.highest, row.lowest + (row.highest - row.lowest) / 2}) {
      const Parsed parsed = parse(name + "=" + std::to_string(value));
      EXPECT_TRUE(parsed.complaints.empty()) << name << "=" << value;
      EXPECT_EQ(parsed.options.*row.field, value) << name;
      for (const Row& other : kRows) {
        if (other.field != row.field) {
          EXPECT_EQ(parsed.options.*other.field, other.defaults[1]) << other.name;
        }
      }
    }
    ASSERT_LT(row.highest, ~std::uint64_t{0});
    std::vector<std::string> beyond{std::to_string(row.highest + 1), "18446744073709551615"};
    if (row.lowest != 0) beyond.push_back(std::to_string(row.lowest - 1));
    for (const std::string& value : beyond) {
      const Parsed parsed = parse(name + "=" + value);
      ASSERT_EQ(parsed.complaints.size(), 1U) << name << "=" << value;
      EXPECT_EQ(parsed.complaints[0].kind, "bad value in");
      EXPECT_EQ(parsed.complaints[0].text, name + "=" + value);
      EXPECT_EQ(parsed.complaints[0].valid, std::to_string(row.lowest) + " to " + std::to_string(row.highest));
      EXPECT_TRUE(same(parsed.options, options_of(Profile::standard)));
    }
  }
}

TEST(Options, words_stand_for_zero_and_one) {
  for (const char* const word : {"1", "true", "yes", "on", "01"}) {
    const Parsed parsed = parse("verbose=" + std::string(word));
    EXPECT_TRUE(parsed.complaints.empty()) << word;
    EXPECT_EQ(parsed.options.verbose, 1U) << word;
  }
  for (const char* const word : {"0", "false", "no", "off", "000"}) {
    const Parsed parsed = parse("guard_pages=" + std::string(word));
    EXPECT_TRUE(parsed.complaints.empty()) << word;
    EXPECT_EQ(parsed.options.guard_pages, 0U) << word;
  }
}

TEST(Options, bad_values_are_named_and_change_nothing) {
  for (const char* const value : {"",
                                  "2",
                                  "-1",
                                  "+1",
                                  " 1",
                                  "1 ",
                                  "1x",
                                  "x",
                                  "TRUE",
                                  "tru",
                                  "truee",
                                  "0x1",
                                  "1.0",
                                  "1=1",
                                  "=",
                                  "\xff",
                                  "18446744073709551616",
                                  "99999999999999999999999999999999999",
                                  "\t1",
                                  "1\n"}) {
    const Parsed parsed = parse("guard_pages=" + std::string(value));
    ASSERT_EQ(parsed.complaints.size(), 1U) << "'" << value << "'";
    EXPECT_EQ(parsed.complaints[0].text, "guard_pages=" + std::string(value));
    EXPECT_TRUE(same(parsed.options, options_of(Profile::standard))) << value;
  }
}

TEST(Options, unknown_names_are_named_with_the_valid_ones) {
  for (const char* const name :
       {"x", "guard_page", "guard_pagess", "GUARD_PAGES", " guard_pages", "guard_pages ", "-", "seed\t"}) {
    const Parsed parsed = parse(std::string(name) + "=1");
    ASSERT_EQ(parsed.complaints.size(), 1U) << name;
    EXPECT_EQ(parsed.complaints[0].kind, "unknown option");
    EXPECT_EQ(parsed.complaints[0].text, name);
    EXPECT_EQ(parsed.complaints[0].valid, option_names());
    EXPECT_TRUE(same(parsed.options, options_of(Profile::standard)));
  }
}

TEST(Options, a_name_without_a_value_is_named) {
  for (const char* const text : {"guard_pages", "x", "help", "profil"}) {
    const Parsed parsed = parse(text);
    ASSERT_EQ(parsed.complaints.size(), 1U) << text;
    EXPECT_EQ(parsed.complaints[0].text, text);
    EXPECT_TRUE(same(parsed.options, options_of(Profile::standard)));
  }
  EXPECT_EQ(parse("=1").complaints.size(), 1U);
  EXPECT_EQ(parse("=").complaints.size(), 1U);
  EXPECT_EQ(parse("profile").complaints.size(), 1U);
  EXPECT_EQ(parse("profile=").complaints.size(), 1U);
}

TEST(Options, unknown_profiles_are_named_with_the_valid_ones) {
  for (const char* const name : {"", "Strict", "standard", "defaul", "defaultt", "strict ", "0", "1"}) {
    const Parsed parsed = parse("profile=" + std::string(name));
    ASSERT_EQ(parsed.complaints.size(), 1U) << name;
    EXPECT_EQ(parsed.complaints[0].kind, "unknown profile");
    EXPECT_EQ(parsed.complaints[0].text, name);
    EXPECT_EQ(parsed.complaints[0].valid, profile_names());
    EXPECT_TRUE(same(parsed.options, options_of(Profile::standard)));
  }
}

TEST(Options, profile_counts_first_wherever_it_stands) {
  Options expected = options_of(Profile::strict);
  expected.quarantine_slots = 1;
  expected.seed = 99;
  for (const char* const text :
       {"profile=strict:quarantine_slots=1:seed=99", "quarantine_slots=1:profile=strict:seed=99",
        "quarantine_slots=1:seed=99:profile=strict", ":quarantine_slots=1::seed=99:profile=strict:"}) {
    const Parsed parsed = parse(text);
    EXPECT_TRUE(parsed.complaints.empty()) << text;
    EXPECT_TRUE(same(parsed.options, expected)) << text;
  }
}

TEST(Options, the_last_of_two_counts) {
  EXPECT_EQ(parse("seed=1:seed=2").options.seed, 2U);
  EXPECT_EQ(parse("profile=light:profile=strict").options.profile, Profile::strict);
  EXPECT_EQ(parse("seed=1:seed=bad").options.seed, 1U);
}

TEST(Options, a_choice_takes_its_words_alone) {
  const struct {
    const char* word;
    std::uint64_t choice;
  } words[] = {{"abort", kForeignAbort}, {"warn", kForeignWarn}, {"forward", kForeignForward}};
  for (const auto& [word, choice] : words) {
    const Parsed parsed = parse("foreign_pointer=" + std::string(word));
    EXPECT_TRUE(parsed.complaints.empty()) << word;
    EXPECT_EQ(parsed.options.foreign_pointer, choice) << word;
  }
  for (const char* const word : {"", "0", "1", "abor", "abortt", "abort warn", "warn ", " warn", "WARN", "yes"}) {
    const Parsed parsed = parse("foreign_pointer=warn:foreign_pointer=" + std::string(word));
    ASSERT_EQ(parsed.complaints.size(), 1U) << word;
    EXPECT_EQ(parsed.complaints[0].kind, "bad value in");
    EXPECT_EQ(parsed.complaints[0].valid, "abort warn forward");
    EXPECT_EQ(parsed.options.foreign_pointer, kForeignWarn) << "the one before stands";
  }
}

TEST(Options, a_text_is_all_up_to_the_separator) {
  EXPECT_EQ(parse("log_file=/tmp/a b=c#d:stats=1").options.log_file, "/tmp/a b=c#d");
  EXPECT_EQ(parse("log_file=").options.log_file, "");
  EXPECT_EQ(parse("log_file=a:log_file=b").options.log_file, "b");
  EXPECT_EQ(parse("log_file=a:profile=light").options.log_file, "a") << "no profile has a value for it";
}

TEST(Options, come_on_top_of_those_before) {
  Options before = options_of(Profile::light);
  before.quarantine_slots = 3;
  before.log_file = "a";
  const Options kept = parse_options("seed=4", {}, before);
  EXPECT_EQ(kept.quarantine_slots, 3U);
  EXPECT_EQ(kept.seed, 4U);
  EXPECT_EQ(kept.profile, Profile::light);
  EXPECT_EQ(kept.log_file, "a");
  Options strict = options_of(Profile::strict);
  strict.seed = 4;
  EXPECT_TRUE(same(parse_options("seed=4:profile=strict", {}, before), strict)) << "a profile sets them all";
}

TEST(Options, in_a_file_have_lines_of_their_own_with_blanks_and_comments) {
  Parsed parsed;
  const Options options =
      parse_options("# stave.conf\n\n  profile=strict\t\r\n\t# quarantine_slots=2\n#seed=7\nlog_file=/a:b #c\n stats=1",
                    {.complain = [](void* context, const char*, std::string_view,
                                    const char*) { static_cast<Parsed*>(context)->complaints.emplace_back(); },
                     .context = &parsed},
                    {}, OptionSyntax::lines);
  EXPECT_TRUE(parsed.complaints.empty());
  Options expected = options_of(Profile::strict);
  expected.stats = 1;
  EXPECT_TRUE(same(options, expected));
  EXPECT_EQ(options.log_file, "/a:b #c");
}

TEST(Options, good_parts_count_beside_bad_ones) {
  const Parsed parsed = parse("nonsense=1:seed=7:guard_pages=9::stats=1:x:profile=none:verbose=1");
  EXPECT_EQ(parsed.complaints.size(), 4U);
  EXPECT_EQ(parsed.options.seed, 7U);
  EXPECT_EQ(parsed.options.stats, 1U);
  EXPECT_EQ(parsed.options.verbose, 1U);
  EXPECT_EQ(parsed.options.guard_pages, 1U);
}

TEST(Options, nobody_need_listen_to_complaints) {
  EXPECT_TRUE(same(parse_options("x=1:y:profile=z:guard_pages=9", {}), options_of(Profile::standard)));
}

TEST(Options, any_bytes_are_an_option_string) {
  std::mt19937 random(1);
  const std::string alphabet = "=:=:=:0123456789abcdefprofilestrictguard_pages\x01\x7f\x80\xff -+";
  for (int turn = 0; turn != 20'000; ++turn) {
    std::string text;
    const std::size_t length = random() % 60;
    for (std::size_t i = 0; i != length; ++i) {
      if (random() % 12 == 0) {
        text += std::string(kRows[random() % std::size(kRows)].name) + "=";
      } else if (turn % 2 == 0) {
        text += alphabet[random() % alphabet.size()];
      } else {
        text += static_cast<char>(random() % 255 + 1);
      }
    }
    const Parsed parsed = parse(text);
    for (const Row& row : kRows) {
      ASSERT_GE(parsed.options.*row.field, row.lowest) << text;
      ASSERT_LE(parsed.options.*row.field, row.highest) << text;
    }
    for (const Complaint& complaint : parsed.complaints) {
      ASSERT_NE(text.find(complaint.text), std::string::npos);
      ASSERT_FALSE(complaint.valid.empty());
    }
  }
}

TEST(Options, names_are_listed_once_each) {
  std::istringstream words(option_names());
  std::set<std::string> names;
  for (std::string word; words >> word;) EXPECT_TRUE(names.insert(word).second) << word;
#define STAVE_CHOICE(name, words, light, standard, strict, fuzz, help) EXPECT_EQ(names.erase(#name), 1U);
#define STAVE_TEXT(name, range, help) EXPECT_EQ(names.erase(#name), 1U);
#include "policy/options.def"
  EXPECT_EQ(names.size(), std::size(kRows) + 1);
  EXPECT_EQ(names.count("profile"), 1U);
  for (const Row& row : kRows) EXPECT_EQ(names.count(row.name), 1U) << row.name;
  EXPECT_STREQ(profile_names(), "light default strict fuzz");
}

TEST(Options, help_shows_every_option_and_what_is_not_built) {
  std::vector<std::string> lines;
  describe_options(
      [](void* context, const char* line) { static_cast<std::vector<std::string>*>(context)->push_back(line); },
      &lines);
  const auto count = [&](const std::string& words) {
    std::size_t found = 0;
    for (const std::string& line : lines) found += line.find(words) != std::string::npos ? 1 : 0;
    return found;
  };
  for (const Row& row : kRows) {
    std::ostringstream line;
    line << "  " << row.name << " (" << row.lowest << " to " << row.highest << "; " << row.defaults[0] << " | "
         << row.defaults[1] << " | " << row.defaults[2] << " | " << row.defaults[3] << "): ";
    EXPECT_EQ(count(line.str()), 1U) << line.str();
  }
  EXPECT_EQ(count("  foreign_pointer (abort warn forward; abort | abort | abort | abort): "), 1U);
  EXPECT_EQ(count("  log_file (a path): "), 1U);
#define STAVE_PROTECTION(what, built, light, standard, strict, fuzz, names)                        \
  EXPECT_EQ(count("  " what ": " light " | " standard " | " strict " | " fuzz), 1U);               \
  EXPECT_EQ(count("  " what ": " light " | " standard " | " strict " | " fuzz " (not built yet)"), \
            (built) == 0 ? 1U : 0U);                                                               \
  EXPECT_EQ(count("  " what ": " light " | " standard " | " strict " | " fuzz " [" names "]"), (built) == 0 ? 0U : 1U);
#include "policy/protections.def"
#undef STAVE_PROTECTION
  for (const std::string& line : lines) {
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_LT(line.size(), 500U) << "cut off";
  }
}

TEST(Options, what_a_protection_is_set_by_exists) {
#define STAVE_PROTECTION(what, built, light, standard, strict, fuzz, names)                                   \
  if ((built) != 0 && std::strcmp(names, "always on") != 0) {                                                 \
    std::istringstream words(names);                                                                          \
    for (std::string word; std::getline(words >> std::ws, word, ',');) {                                      \
      EXPECT_NE((std::string(" ") + option_names() + " ").find(" " + word + " "), std::string::npos) << word; \
    }                                                                                                         \
  }
#include "policy/protections.def"
#undef STAVE_PROTECTION
}

}  // namespace
}  // namespace stave
