// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs a fuzzer's target over files without a fuzzing engine, so that every ordinary build replays the corpora.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
[[gnu::weak]] int LLVMFuzzerInitialize(int* argc, char*** argv);
/// A target whose inputs mean something to a reader may print them, as text or as C.
[[gnu::weak]] void stave_fuzzer_print(const std::uint8_t* data, std::size_t size, int as_c);
/// A target that counts what it does tells how much it was.
[[gnu::weak]] std::uint64_t stave_fuzzer_operations();
}

namespace {

namespace fs = std::filesystem;

constexpr int kUnreadable = 2;

[[noreturn]] void give_up(const fs::path& path, const std::string& why) {
  std::fflush(stdout);
  std::cerr << path.string() << ": " << why << "\n";
  std::exit(kUnreadable);
}

/// The files named by `path`: itself, or those below it in the order of their names.
void collect(const fs::path& path, std::vector<fs::path>& files) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) give_up(path, "no such file or directory");
  if (!fs::is_directory(status)) {
    files.push_back(path);
    return;
  }
  const std::size_t before = files.size();
  fs::recursive_directory_iterator entry(path, error);
  if (error) give_up(path, error.message());
  for (; entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (error) give_up(path, error.message());
    if (entry->is_regular_file(error)) files.push_back(entry->path());
  }
  if (files.size() == before) give_up(path, "no files in it; an empty replay proves nothing");
  std::sort(files.begin() + static_cast<std::ptrdiff_t>(before), files.end());
}

std::vector<std::uint8_t> read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) give_up(path, "cannot be opened");
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad()) give_up(path, "cannot be read");
  return {bytes.begin(), bytes.end()};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs a fuzzer's target over files and directories of files.");
  std::vector<std::string> paths;
  bool print = false;
  bool print_c = false;
  unsigned repeat = 1;
  app.add_option("path", paths, "files and directories")->required();
  app.add_flag("--print", print, "print each input as text and as a C program instead of running it");
  app.add_flag("--print-c", print_c, "print each input as a C program alone");
  app.add_option("--repeat", repeat, "run each input so many times")->check(CLI::PositiveNumber);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUnreadable;
  }
  if ((print || print_c) && stave_fuzzer_print == nullptr) {
    std::cerr << "this target's inputs have no printed form\n";
    return kUnreadable;
  }
  std::vector<fs::path> files;
  for (const std::string& path : paths) collect(path, files);
  if (LLVMFuzzerInitialize != nullptr) LLVMFuzzerInitialize(&argc, &argv);
  for (const fs::path& path : files) {
    // Named before it runs, so that the last name before a crash is the culprit.
    if (!print_c) {
      std::printf("%s\n", path.c_str());
      std::fflush(stdout);
    }
    const std::vector<std::uint8_t> bytes = read(path);
    if (print) stave_fuzzer_print(bytes.data(), bytes.size(), 0);
    if (print || print_c) {
      stave_fuzzer_print(bytes.data(), bytes.size(), 1);
      continue;
    }
    for (unsigned i = 0; i < repeat; ++i) LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  if (!print && !print_c) {
    std::printf("%zu files", files.size());
    if (stave_fuzzer_operations != nullptr) {
      std::printf(", %llu operations", static_cast<unsigned long long>(stave_fuzzer_operations()));
    }
    std::printf("\n");
  }
  return 0;
}
