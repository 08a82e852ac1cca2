// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Options: what STAVE_OPTIONS may say, and what came of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "policy/profile.hpp"

namespace stave {

/// The resolved options of an allocator; read-only once it has started.
struct Options {
  Profile profile = Profile::standard;
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) std::uint64_t name = standard;
#include "policy/options.def"
#undef STAVE_OPTION
};

/// What a profile says when no option speaks.
[[nodiscard]] Options options_of(Profile profile);

/// Told about each part of an option string that is not understood.
struct OptionComplaints {
  /// \param kind   what is wrong, a static phrase ("unknown option", "bad value for option", ...)
  /// \param text   the offending part, not terminated
  /// \param valid  what would be valid, a static phrase
  void (*complain)(void* context, const char* kind, const char* text, std::size_t length, const char* valid) = nullptr;
  void* context = nullptr;
};

/// Reads "name=value:name=value". Parts that are not understood are complained about and change nothing. `profile=`
/// counts first, wherever it stands; of any other option given twice the last counts. nullptr is the empty string. Any
/// bytes are an option string.
[[nodiscard]] Options parse_options(const char* text, const OptionComplaints& complaints);

/// Names of profiles and options, space-separated: what complaints and help show.
[[nodiscard]] const char* option_names();
[[nodiscard]] const char* profile_names();
[[nodiscard]] const char* profile_name(Profile profile);

/// Calls `line` with each line of the text behind `help=1`: protections, what each profile carries, what is not built
/// yet, and the options with their defaults.
void describe_options(void (*line)(void* context, const char* text), void* context);

}  // namespace stave
