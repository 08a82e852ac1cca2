// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "policy/options.hpp"

#include <cstring>
#include <initializer_list>

#include "os/report.hpp"

namespace stave {
namespace {

struct Text {
  const char* start;
  std::size_t length;

  [[nodiscard]] bool is(const char* words) const {
    return std::strlen(words) == length && std::memcmp(start, words, length) == 0;
  }
};

struct OptionRow {
  const char* name;
  std::uint64_t lowest;
  std::uint64_t highest;
  std::uint64_t defaults[4];
  std::uint64_t Options::*field;
  const char* range;
  const char* help;
};

constexpr OptionRow kOptions[] = {
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) \
  {#name, lowest, highest, {light, standard, strict, fuzz}, &Options::name, #lowest " to " #highest, help},
#include "policy/options.def"
#undef STAVE_OPTION
};

constexpr const char* kProfiles[] = {"light", "default", "strict", "fuzz"};

/// The next part up to `separator`, which is dropped; `rest` loses both.
Text split(Text* rest, char separator) {
  const void* const found = rest->length == 0 ? nullptr : std::memchr(rest->start, separator, rest->length);
  if (found == nullptr) {
    const Text all = *rest;
    *rest = {rest->start + rest->length, 0};
    return all;
  }
  const auto length = static_cast<std::size_t>(static_cast<const char*>(found) - rest->start);
  const Text part{rest->start, length};
  *rest = {rest->start + length + 1, rest->length - length - 1};
  return part;
}

bool parse_number(Text text, std::uint64_t* number) {
  for (const char* const word : {"true", "yes", "on"}) {
    if (text.is(word)) return *number = 1, true;
  }
  for (const char* const word : {"false", "no", "off"}) {
    if (text.is(word)) return *number = 0, true;
  }
  if (text.length == 0) return false;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i != text.length; ++i) {
    const char digit = text.start[i];
    if (digit < '0' || digit > '9') return false;
    if (__builtin_mul_overflow(value, 10, &value)) return false;
    if (__builtin_add_overflow(value, static_cast<std::uint64_t>(digit - '0'), &value)) return false;
  }
  *number = value;
  return true;
}

class Parser {
 public:
  explicit Parser(const OptionComplaints& complaints) : complaints_(complaints) {}

  void find_profile(Text part) {
    Text value = part;
    if (!split(&value, '=').is("profile")) return;
    for (std::size_t i = 0; i != 4; ++i) {
      if (value.is(kProfiles[i])) {
        options = options_of(static_cast<Profile>(i));
        return;
      }
    }
    complain("unknown profile", value, profile_names());
  }

  void apply(Text part) {
    if (part.length == 0) return;
    Text value = part;
    const Text name = split(&value, '=');
    if (name.is("profile")) return;
    if (name.length == part.length) return complain("no value given to option", name, "name=value:name=value");
    for (const OptionRow& row : kOptions) {
      if (!name.is(row.name)) continue;
      std::uint64_t number = 0;
      if (!parse_number(value, &number) || number < row.lowest || number > row.highest) {
        return complain("bad value in", part, row.range);
      }
      options.*row.field = number;
      return;
    }
    complain("unknown option", name, option_names());
  }

  Options options;

 private:
  void complain(const char* kind, Text text, const char* valid) const {
    if (complaints_.complain != nullptr)
      complaints_.complain(complaints_.context, kind, text.start, text.length, valid);
  }

  const OptionComplaints& complaints_;
};

}  // namespace

Options options_of(Profile profile) {
  Options options;
  options.profile = profile;
  for (const OptionRow& row : kOptions) options.*row.field = row.defaults[static_cast<std::size_t>(profile)];
  return options;
}

Options parse_options(const char* text, const OptionComplaints& complaints) {
  Parser parser(complaints);
  if (text == nullptr) return parser.options;
  const Text whole{text, std::strlen(text)};
  for (Text rest = whole; rest.length != 0;) parser.find_profile(split(&rest, ':'));
  for (Text rest = whole; rest.length != 0;) parser.apply(split(&rest, ':'));
  return parser.options;
}

const char* option_names() {
  return "profile"
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) " " #name
#include "policy/options.def"
#undef STAVE_OPTION
      ;
}

const char* profile_names() { return "light default strict fuzz"; }

const char* profile_name(Profile profile) { return kProfiles[static_cast<std::size_t>(profile)]; }

void describe_options(void (*line)(void* context, const char* text), void* context) {
  char storage[512];
  const auto say = [&](const char* a, const char* b, const char* c) {
    TextBuffer out(storage, sizeof storage);
    out.text(a).text(b).text(c);
    line(context, out.data());
  };
  say("STAVE_OPTIONS=\"name=value:name=value\"", "", "");
  say("protections (light | default | strict | fuzz):", "", "");
#define STAVE_PROTECTION(what, built, light, standard, strict, fuzz, names)                       \
  say("  " what ": " light " | " standard " | " strict " | " fuzz, (built) ? " [" names "]" : "", \
      (built) ? "" : " (not built yet)");
#include "policy/protections.def"
#undef STAVE_PROTECTION
  say("options (range; light | default | strict | fuzz):", "", "");
  say("  profile: ", profile_names(), ": the values of all other options");
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) \
  say("  " #name " (" #lowest " to " #highest "; " #light " | " #standard " | " #strict " | " #fuzz "): ", help, "");
#include "policy/options.def"
#undef STAVE_OPTION
}

}  // namespace stave
