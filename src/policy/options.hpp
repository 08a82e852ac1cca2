// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Options: what may be said of an allocator, and what came of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "policy/profile.hpp"

namespace stave {

/// Words of the option foreign_pointer.
inline constexpr std::uint64_t kForeignAbort = 0;
inline constexpr std::uint64_t kForeignWarn = 1;
inline constexpr std::uint64_t kForeignForward = 2;

/// Words of the option canary.
inline constexpr std::uint64_t kCanaryOff = 0;
inline constexpr std::uint64_t kCanaryInSlack = 1;
inline constexpr std::uint64_t kCanaryAlways = 2;

/// Words of the option sized_free.
inline constexpr std::uint64_t kSizedOff = 0;
inline constexpr std::uint64_t kSizedByClass = 1;
inline constexpr std::uint64_t kSizedExact = 2;

/// Words of the option sample_placement.
inline constexpr std::uint64_t kPlaceRandom = 0;
inline constexpr std::uint64_t kPlaceRight = 1;
inline constexpr std::uint64_t kPlaceLeft = 2;
inline constexpr std::uint64_t kPlaceExact = 3;

/// The resolved options of an allocator; read-only once it has started.
struct Options {
  Profile profile = Profile::standard;
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) std::uint64_t name = standard;
#define STAVE_CHOICE(name, words, light, standard, strict, fuzz, help) std::uint64_t name = standard;
#define STAVE_TEXT(name, range, help) std::string_view name; /* part of the text that was parsed */
#include "policy/options.def"
};

/// What stands where nothing was decided yet: zero.
inline constexpr Options kNoOptions = {
    .profile = {},
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) .name = 0,
#define STAVE_CHOICE(name, words, light, standard, strict, fuzz, help) .name = 0,
#define STAVE_TEXT(name, range, help) .name = {},
#include "policy/options.def"
};

/// What a profile says when no option speaks.
[[nodiscard]] Options options_of(Profile profile);

/// Told about each part of an option string that is not understood.
struct OptionComplaints {
  /// \param kind   what is wrong, a static phrase ("unknown option", "bad value for option", ...)
  /// \param text   the offending part
  /// \param valid  what would be valid, a static phrase
  void (*complain)(void* context, const char* kind, std::string_view text, const char* valid) = nullptr;
  void* context = nullptr;
};

/// How options are written: name=value:name=value, or a line for each, with blanks around it and comments after #.
enum class OptionSyntax : char { string = ':', lines = '\n' };

/// Reads options on top of `before`. Parts that are not understood are complained about and change nothing. `profile=`
/// counts first, wherever it stands, and sets all options that profiles have values for; of any other option given
/// twice the last counts. Any bytes are an option string.
[[nodiscard]] Options parse_options(std::string_view text, const OptionComplaints& complaints,
                                    const Options& before = {}, OptionSyntax syntax = OptionSyntax::string);

/// Names of profiles and options, space-separated: what complaints and help show.
[[nodiscard]] const char* option_names();
[[nodiscard]] const char* profile_names();
[[nodiscard]] const char* profile_name(Profile profile);

/// Calls `line` with each line of the text behind `help=1`: protections, what each profile carries, what is not built
/// yet, and the options with their defaults.
void describe_options(void (*line)(void* context, const char* text), void* context);

}  // namespace stave
