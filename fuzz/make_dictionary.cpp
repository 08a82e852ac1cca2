// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes the dictionary of fuzz_options, in the form of libFuzzer and afl-fuzz, or checks that it is as written here.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace {

/// Names, words and limits, each once.
std::vector<std::string> entries() {
  std::vector<std::string> all;
  const auto add = [&](const std::string& entry) {
    if (std::find(all.begin(), all.end(), entry) == all.end()) all.push_back(entry);
  };
  const auto add_words = [&](const std::string& words) {
    std::istringstream stream(words);
    for (std::string word; stream >> word;) add(word);
  };
  add_words("profile= light default strict fuzz : true false yes no on off");
  add("\\x0A");
  add("\\x00");
  add("#");
#define STAVE_OPTION(name, lowest, highest, light, standard, strict, fuzz, help) \
  add(#name "=");                                                                \
  add(std::to_string(highest));                                                  \
  add(std::to_string(highest + std::uint64_t{1}));
#define STAVE_CHOICE(name, words, light, standard, strict, fuzz, help) \
  add(#name "=");                                                      \
  add_words(words);
#define STAVE_TEXT(name, range, help) add(#name "=");
#include "policy/options.def"
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes the dictionary of option strings.");
  std::string path;
  bool check = false;
  app.add_option("file", path, "where the dictionary is, or goes")->required();
  app.add_flag("--check", check, "write nothing; fail if the file differs");
  CLI11_PARSE(app, argc, argv);
  std::string wanted = "# Made by fuzz/make_dictionary.cpp of src/policy/options.def.\n";
  for (const std::string& entry : entries()) wanted += "\"" + entry + "\"\n";
  if (check) {
    std::ifstream file(path, std::ios::binary);
    const std::string found((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (found == wanted) return 0;
    std::cerr << path << ": missing, or older than src/policy/options.def: run fuzz_make_dictionary " << path << "\n";
    return 1;
  }
  std::ofstream file(path, std::ios::binary);
  file << wanted;
  if (file.flush()) return 0;
  std::cerr << path << ": cannot be written\n";
  return 2;
}
