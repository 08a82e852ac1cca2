// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Any bytes are options: STAVE_OPTIONS, and lines of /etc/stave.conf. What stands in front of the first NUL is a file,
// on top of which comes what stands behind it; without one all is read on top of the defaults. The parser is held
// against a second one, which is written from README.md:
//
//   O1  what is valid is taken, and no other option changes; what is not is complained about once, and changes nothing
//   O2  `profile=` counts first, wherever it stands; of any other option given twice the last counts
//   O3  a number is within its option's limits, a word among its words, a text a part of what was given
//   O4  what was parsed, and printed, is the same when it is parsed again
//   O5  nothing outside of the bytes is read
//   O6  a file is used as a whole or not at all; then one line of printable characters says why
//
// Not here: how options_of_process finds the variable and the file, and opens the log that they name; that a file is
// not larger than 4096 bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/expect.hpp"
#include "fuzz/fenced.hpp"
#include "fuzz/memory_file.hpp"
#include "os/log.hpp"
#include "policy/options.hpp"
#include "policy/settings.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace stave::fuzz {
namespace {

/// Beyond it an input only takes time.
constexpr std::size_t kMostInput = 600;

struct Row {
  std::string_view name;
  std::uint64_t lowest;
  std::uint64_t highest;
  std::string_view words;                 ///< of a choice
  std::uint64_t Options::*number;         ///< nullptr: it is a text
  std::string_view Options::*characters;  ///< nullptr: it is none
};

constexpr Row kRows[] = {
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) \
  {#name, lowest, highest, {}, &Options::name, nullptr},
#define STAVE_CHOICE(name, words, light, standard, strict, fuzz, help) {#name, 0, 0, words, &Options::name, nullptr},
#define STAVE_TEXT(name, range, help) {#name, 0, 0, {}, nullptr, &Options::name},
#include "policy/options.def"
};

constexpr std::string_view kProfiles = "light default strict fuzz";
constexpr std::uint64_t kNone = UINT64_MAX;

/// The place of `wanted` among words with a space between them, or kNone.
std::uint64_t place_of(std::string_view wanted, std::string_view words) {
  std::uint64_t place = 0;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= words.size(); ++i) {
    if (i != words.size() && words[i] != ' ') continue;
    if (words.substr(from, i - from) == wanted) return place;
    from = i + 1;
    ++place;
  }
  return kNone;
}

/// The number that a text stands for, or kNone, which no option allows.
std::uint64_t number_of(std::string_view text) {
  if (text == "true" || text == "yes" || text == "on") return 1;
  if (text == "false" || text == "no" || text == "off") return 0;
  unsigned __int128 value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return kNone;
    value = value * 10 + static_cast<unsigned>(digit - '0');
    if (value >= kNone) value = kNone;  // and stays beyond all limits
  }
  return text.empty() ? kNone : static_cast<std::uint64_t>(value);
}

/// What a part asks for.
struct Meaning {
  enum Kind { nothing, profile, value, bad_profile, bad } kind = bad;
  const Row* row = nullptr;
  std::uint64_t number = 0;
  std::string_view characters = {};
};

Meaning meaning_of(std::string_view part) {
  if (part.empty()) return {.kind = Meaning::nothing};
  const std::size_t equals = part.find('=');
  const std::string_view name = part.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1);
  if (name == "profile") {
    const std::uint64_t place = place_of(value, kProfiles);
    return {.kind = place == kNone ? Meaning::bad_profile : Meaning::profile, .number = place};
  }
  if (equals == std::string_view::npos) return {};
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    if (row.number == nullptr) return {.kind = Meaning::value, .row = &row, .characters = value};
    const std::uint64_t number = row.words.empty() ? number_of(value) : place_of(value, row.words);
    const bool good = row.words.empty() ? number >= row.lowest && number <= row.highest : number != kNone;
    return {.kind = good ? Meaning::value : Meaning::bad, .row = &row, .number = number};
  }
  return {};
}

/// A part of a line without blanks around it, or nothing if it is a comment.
std::string_view without_blanks(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos || line[first] == '#') return {};
  return line.substr(first, line.find_last_not_of(" \t\r") + 1 - first);
}

template <class Visit>
void for_each_part(std::string_view text, OptionSyntax syntax, Visit&& visit) {
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t found = text.find(static_cast<char>(syntax), from);
    const std::size_t end = found == std::string_view::npos ? text.size() : found;
    const std::string_view part = text.substr(from, end - from);
    visit(syntax == OptionSyntax::lines ? without_blanks(part) : part);
    from = end + 1;
  }
}

bool lies_in(std::string_view part, std::string_view whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

bool same(const Options& a, const Options& b) {
  for (const Row& row : kRows) {
    if (row.number != nullptr ? a.*row.number != b.*row.number : a.*row.characters != b.*row.characters) return false;
  }
  return a.profile == b.profile;
}

/// The complaints about a text, in their order.
struct Complaints {
  std::string_view texts[kMostInput + 1];
  std::size_t count = 0;

  static void add(void* self, const char* kind, std::string_view text, const char* valid) {
    auto& all = *static_cast<Complaints*>(self);
    expect(kind[0] != '\0' && valid[0] != '\0', "O1 a complaint says what is wrong, and what would be right");
    expect(all.count != sizeof all.texts / sizeof all.texts[0], "O1 a part is complained about once");
    all.texts[all.count++] = text;
  }
};
Complaints g_complaints;

Options parse(std::string_view text, const Options& before, OptionSyntax syntax) {
  g_complaints.count = 0;
  return parse_options(text, {.complain = Complaints::add, .context = &g_complaints}, before, syntax);
}

/// Every part of `text` that is not understood has a complaint, first those of profiles.
void expect_complaints(std::string_view text, OptionSyntax syntax) {
  std::size_t at = 0;
  for (const Meaning::Kind kind : {Meaning::bad_profile, Meaning::bad}) {
    for_each_part(text, syntax, [&](std::string_view part) {
      if (meaning_of(part).kind != kind) return;
      expect(at != g_complaints.count, "O1 what is not understood is complained about");
      expect(lies_in(g_complaints.texts[at++], part), "O1, O5 a complaint shows the part that is meant");
    });
  }
  expect(at == g_complaints.count, "O1 only what is not understood is complained about");
}

Options expected(std::string_view text, const Options& before, OptionSyntax syntax) {
  Options options = before;
  for_each_part(text, syntax, [&](std::string_view part) {
    const Meaning meaning = meaning_of(part);
    if (meaning.kind != Meaning::profile) return;
    const Options of_profile = options_of(static_cast<Profile>(meaning.number));
    for (const Row& row : kRows) {
      if (row.number != nullptr) options.*row.number = of_profile.*row.number;
    }
    options.profile = of_profile.profile;
  });
  for_each_part(text, syntax, [&](std::string_view part) {
    const Meaning meaning = meaning_of(part);
    if (meaning.kind != Meaning::value) return;
    if (meaning.row->number != nullptr) {
      options.*meaning.row->number = meaning.number;
    } else {
      options.*meaning.row->characters = meaning.characters;
    }
  });
  return options;
}

void expect_limits(const Options& options, std::string_view text, const Options& before) {
  expect(static_cast<unsigned>(options.profile) < 4, "O3 a profile is one of four");
  for (const Row& row : kRows) {
    if (row.number == nullptr) {
      const std::string_view found = options.*row.characters;
      expect(found.empty() || found.data() == (before.*row.characters).data() || lies_in(found, text),
             "O3 a text is a part of what was given");
    } else if (row.words.empty()) {
      expect(options.*row.number >= row.lowest && options.*row.number <= row.highest, "O3 numbers are within limits");
    } else {
      expect(options.*row.number <= static_cast<std::uint64_t>(std::count(row.words.begin(), row.words.end(), ' ')),
             "O3 a choice is one of its words");
    }
  }
}

std::string_view word_at(std::uint64_t place, std::string_view words) {
  for (; place != 0; --place) words.remove_prefix(words.find(' ') + 1);
  return words.substr(0, words.find(' '));
}

void expect_same_printed(const Options& options, OptionSyntax syntax) {
  static char storage[2 * kMostInput + 4096];
  const char separator[] = {static_cast<char>(syntax), '\0'};
  TextBuffer out(storage, sizeof storage);
  out.text("profile=").text(word_at(static_cast<std::uint64_t>(options.profile), kProfiles));
  for (const Row& row : kRows) {
    out.text(separator).text(row.name).text("=");
    if (row.number == nullptr) {
      out.text(options.*row.characters);
    } else if (row.words.empty()) {
      out.decimal(options.*row.number);
    } else {
      out.text(word_at(options.*row.number, row.words));
    }
  }
  expect(same(parse(out.view(), {}, syntax), options), "O4 what is printed is parsed as the same");
  expect(g_complaints.count == 0, "O4 what is printed is understood");
}

/// Returns what `text` makes of `before`.
Options check(std::string_view text, const Options& before, OptionSyntax syntax) {
  const Options options = parse(text, before, syntax);
  expect_complaints(text, syntax);
  expect(same(options, expected(text, before, syntax)), "O1, O2 options are what their parts say");
  expect_limits(options, text, before);
  return options;
}

void check_file(std::string_view text, const Options& before) {
  struct Said {
    unsigned lines = 0;
    const char* path;
  };
  static const MemoryFile file;
  file.hold(text);
  Said said{.path = file.path()};
  const Options options = options_of_file(
      file.path(), before,
      [](void* context, const char* line) {
        auto& heard = *static_cast<Said*>(context);
        const std::string_view words = line;
        ++heard.lines;
        expect(words.starts_with(heard.path) && words.ends_with("; the file is not used"),
               "O6 a line says what and why");
        for (const char byte : words) expect(byte >= ' ' && byte <= '~', "O6 what is said is printable");
      },
      &said);
  const Options wanted = parse(text, before, OptionSyntax::lines);
  const bool good = g_complaints.count == 0;
  expect(said.lines == (good ? 0 : 1), "O6 one line says that a file is not used, if it is not");
  expect(same(options, good ? wanted : before), "O6 a file is used as a whole, or not at all");
}

}  // namespace
}  // namespace stave::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stave;
  using namespace stave::fuzz;
  static Fenced of_file;
  static Fenced of_string;
  const std::string_view input(reinterpret_cast<const char*>(data), size < kMostInput ? size : kMostInput);
  const std::size_t end = input.find('\0');
  const bool two = end != std::string_view::npos;
  const std::string_view first = two ? input.substr(0, end) : std::string_view{};
  const std::string_view second = two ? input.substr(end + 1) : input;
  const Options before = check(of_file.high_copy(first), {}, OptionSyntax::lines);
  expect_same_printed(before, OptionSyntax::lines);
  check_file(second, before);
  for (const OptionSyntax syntax : {OptionSyntax::string, OptionSyntax::lines}) {
    const Options options = check(of_string.high_copy(second), before, syntax);
    expect(same(parse(of_string.low_copy(second), before, syntax), options), "O5 where bytes lie does not matter");
    if (!two) expect_same_printed(options, syntax);
  }
  return 0;
}
