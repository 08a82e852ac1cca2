// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "policy/options.hpp"

#include <initializer_list>

#include "os/log.hpp"

namespace stave {
namespace {

/// A number, a word (its place among the words of `range` is the number), or a text.
struct OptionRow {
  enum Kind { number, word, text };

  const char* name;
  Kind kind;
  std::uint64_t lowest;
  std::uint64_t highest;
  std::uint64_t defaults[4];
  std::uint64_t Options::*value;
  std::string_view Options::*characters;
  const char* range;
  const char* help;
};

constexpr OptionRow kOptions[] = {
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help)                       \
  {#name,   OptionRow::number,       lowest, highest, {light, standard, strict, fuzz}, &Options::name, \
   nullptr, #lowest " to " #highest, help},
#define STAVE_CHOICE(name, words, light, standard, strict, fuzz, help) \
  {#name, OptionRow::word, 0, 0, {light, standard, strict, fuzz}, &Options::name, nullptr, words, help},
#define STAVE_TEXT(name, range, help) {#name, OptionRow::text, 0, 0, {}, nullptr, &Options::name, range, help},
#include "policy/options.def"
};

constexpr const char* kProfiles = "light default strict fuzz";

/// The next part up to `separator`, which is dropped; `rest` loses both.
std::string_view split(std::string_view* rest, char separator) {
  const std::size_t found = rest->find(separator);
  const std::string_view part(rest->data(), found == std::string_view::npos ? rest->size() : found);
  rest->remove_prefix(found == std::string_view::npos ? rest->size() : found + 1);
  return part;
}

/// The next part of an option string; of a line, what is left without blanks and comments.
std::string_view next_part(std::string_view* rest, OptionSyntax syntax) {
  std::string_view part = split(rest, static_cast<char>(syntax));
  if (syntax != OptionSyntax::lines) return part;
  constexpr std::string_view kBlanks = " \t\r";
  while (!part.empty() && kBlanks.find(part.front()) != std::string_view::npos) part.remove_prefix(1);
  while (!part.empty() && kBlanks.find(part.back()) != std::string_view::npos) part.remove_suffix(1);
  return !part.empty() && part.front() == '#' ? std::string_view{} : part;
}

bool parse_number(std::string_view text, std::uint64_t* number) {
  for (const std::string_view word : {"true", "yes", "on"}) {
    if (text == word) return *number = 1, true;
  }
  for (const std::string_view word : {"false", "no", "off"}) {
    if (text == word) return *number = 0, true;
  }
  std::uint64_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return false;
    if (__builtin_mul_overflow(value, 10, &value)) return false;
    if (__builtin_add_overflow(value, static_cast<std::uint64_t>(digit - '0'), &value)) return false;
  }
  *number = value;
  return !text.empty();
}

/// The place of a word among words with a space between them.
bool parse_word(std::string_view words, std::string_view text, std::uint64_t* place) {
  for (*place = 0; !words.empty(); ++*place) {
    if (split(&words, ' ') == text) return true;
  }
  return false;
}

std::string_view word_at(std::string_view words, std::uint64_t place) {
  while (place-- != 0) (void)split(&words, ' ');
  return split(&words, ' ');
}

class Parser {
 public:
  Parser(const OptionComplaints& complaints, const Options& before) : options(before), complaints_(complaints) {}

  void find_profile(std::string_view part) {
    std::string_view value = part;
    if (split(&value, '=') != "profile") return;
    std::uint64_t place = 0;
    if (!parse_word(kProfiles, value, &place)) return complain("unknown profile", value, profile_names());
    options.profile = static_cast<Profile>(place);
    for (const OptionRow& row : kOptions) {
      if (row.value != nullptr) options.*row.value = row.defaults[place];
    }
  }

  void apply(std::string_view part) {
    if (part.empty()) return;
    std::string_view value = part;
    const std::string_view name = split(&value, '=');
    if (name == "profile") return;
    if (name.size() == part.size()) return complain("no value given to option", name, "name=value");
    for (const OptionRow& row : kOptions) {
      if (name != row.name) continue;
      if (row.kind == OptionRow::text) {
        options.*row.characters = value;
        return;
      }
      std::uint64_t number = 0;
      const bool good = row.kind == OptionRow::word
                            ? parse_word(row.range, value, &number)
                            : parse_number(value, &number) && number >= row.lowest && number <= row.highest;
      if (!good) return complain("bad value in", part, row.range);
      options.*row.value = number;
      return;
    }
    complain("unknown option", name, option_names());
  }

  Options options;

 private:
  void complain(const char* kind, std::string_view text, const char* valid) const {
    if (complaints_.complain != nullptr) complaints_.complain(complaints_.context, kind, text, valid);
  }

  const OptionComplaints& complaints_;
};

}  // namespace

Options options_of(Profile profile) {
  Options options;
  options.profile = profile;
  for (const OptionRow& row : kOptions) {
    if (row.value != nullptr) options.*row.value = row.defaults[static_cast<std::size_t>(profile)];
  }
  return options;
}

Options parse_options(std::string_view text, const OptionComplaints& complaints, const Options& before,
                      OptionSyntax syntax) {
  Parser parser(complaints, before);
  for (std::string_view rest = text; !rest.empty();) parser.find_profile(next_part(&rest, syntax));
  for (std::string_view rest = text; !rest.empty();) parser.apply(next_part(&rest, syntax));
  return parser.options;
}

const char* option_names() {
  return "profile"
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) " " #name
#define STAVE_CHOICE(name, words, light, standard, strict, fuzz, help) " " #name
#define STAVE_TEXT(name, range, help) " " #name
#include "policy/options.def"
      ;
}

const char* profile_names() { return kProfiles; }

const char* profile_name(Profile profile) {
  constexpr const char* kNames[] = {"light", "default", "strict", "fuzz"};
  return kNames[static_cast<std::size_t>(profile)];
}

void describe_options(void (*line)(void* context, const char* text), void* context) {
  char storage[512];
  const auto say = [&](const char* a, const char* b, const char* c) {
    TextBuffer out(storage, sizeof storage);
    out.text(a).text(b).text(c);
    line(context, out.data());
  };
  say("STAVE_OPTIONS=\"name=value:name=value\", or lines in /etc/stave.conf", "", "");
  say("protections (light | default | strict | fuzz):", "", "");
#define STAVE_PROTECTION(what, built, light, standard, strict, fuzz, names)                       \
  say("  " what ": " light " | " standard " | " strict " | " fuzz, (built) ? " [" names "]" : "", \
      (built) ? "" : " (not built yet)");
#include "policy/protections.def"
#undef STAVE_PROTECTION
  say("options (range; light | default | strict | fuzz):", "", "");
  say("  profile: ", profile_names(), ": the values of all other options");
  for (const OptionRow& row : kOptions) {
    TextBuffer out(storage, sizeof storage);
    out.text("  ").text(row.name).text(" (").text(row.range);
    for (std::size_t i = 0; i != 4 && row.kind != OptionRow::text; ++i) {
      out.text(i == 0 ? "; " : " | ");
      if (row.kind == OptionRow::word) {
        out.text(word_at(row.range, row.defaults[i]));
      } else {
        out.decimal(row.defaults[i]);
      }
    }
    out.text("): ").text(row.help);
    line(context, out.data());
  }
}

}  // namespace stave
